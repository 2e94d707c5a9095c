# The pages, as C: sourced by nginx's auto/make, which writes a Makefile.

cat << END                                                >> $NGX_MAKEFILE

$NGX_OBJS/ngx_http_doi_pages.c:	$ngx_addon_dir/tools/embed.sh \\
	$(echo $ngx_addon_dir/pages/*)
	sh $ngx_addon_dir/tools/embed.sh $ngx_addon_dir/pages > \$@.tmp
	mv \$@.tmp \$@

END
