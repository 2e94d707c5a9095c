# The documentation tells the truth: its examples of configuration pass
# nginx -t, and its reference lists what the source registers, no more.
#
# Every block marked ```nginx in README.md and docs/*.md is tried.  One that is
# an excerpt is put where it belongs: into the main, http, server or location
# context, whichever nginx takes it in.  A store and a key are added where a
# block has none.  Paths below /etc and /var are moved to the test's directory,
# and what they name is made: key files, directories of pages, certificates.

use lib 't/lib';
use Doi;

use File::Basename qw(basename dirname);
use File::Path qw(make_path);

my $t = Doi->new;
my $root = $Doi::ROOT;

my %text = map { $_ => slurp("$root/$_") }
           'README.md', map { "docs/" . basename($_) } glob "$root/docs/*.md";

# Configuration

my @around = (
    [ 'as it is', '%s' ],
    [ 'in main',  "events {}\n%s" ],
    [ 'in http',  "events {}\nhttp {\n%s}\n" ],
    [ 'in server', "events {}\nhttp {\nserver {\nlisten 80;\n%s}\n}\n" ],
    [ 'in location', "events {}\nhttp {\nserver {\nlisten 80;\n"
                     . "location /x {\n%s}\n}\n}\n" ],
);

for my $file (sort keys %text) {
    my $n = 0;

    while ($text{$file} =~ /^( *)```nginx\n(.*?)^\1```$/msg) {
        my $block = $2;
        my $line = 1 + (substr($text{$file}, 0, $-[1]) =~ tr/\n//);

        $n++;
        test_block("$file:$line", $block);
    }

    ok($n, "$file has examples") if $file =~ /README|directives|operations/;
}

sub test_block {
    my ($where, $block) = @_;

    my @out;

    for my $around (@around) {
        my ($place, $format) = @$around;

        my ($status, $out) = $t->test_config(complete(sprintf $format, $block));

        if ($status == 0) {
            pass("$where: passes nginx -t $place");
            return;
        }

        push @out, grep { !/test failed/ } map { "$place: $_" } split /\n/, $out;
    }

    fail("$where: passes nginx -t");
    diag($_) for @out;
}

# A configuration of users, as the harness wants it.

sub complete {
    my ($conf) = @_;

    my $dir = $t->dir;

    $conf =~ s/^\s*(?:user|pid|worker_processes|load_module)\s[^;]*;//mg;
    $conf =~ s/^\s*error_log\s[^;]*;//mg if $conf !~ /\{[^}]*error_log/;
    $conf =~ s/\blisten\s+\S*?\d+((?:\s+\w+)*);/listen 127.0.0.1:%%PORT:http%%$1;/g;
    $conf =~ s{(?<=[\s:"=])(/(?:etc|var)/[^\s;"]+)}{$dir$1}g;

    my $more = '';
    $more .= "doi_store %%DIR%%/store;\n" if $conf !~ /\bdoi_store\s/;
    $more .= "doi_key 1 file:%%KEY%%;\n" if $conf !~ /\bdoi_key\s/;


    if ($conf =~ /\bdoi_(?:hold|subscribe|inbound)\s/) {
        $more .= "doi_mail maildir:%%DIR%%/mail from=a\@example.com;\n"
            if $conf !~ /\bdoi_mail\s/;
        $more .= "doi_base_url http://127.0.0.1;\n"
            if $conf !~ /\bdoi_base_url\s/;
        $more .= "doi_url confirm /c/\$doi_token;\n"
            if $conf !~ /\bdoi_url\s/;
    }

    $conf =~ s/^(\s*http\s*\{\n)/$1%%HTTP%%\n$more/m;

    make_what_it_names($conf, $dir);

    return "%%GLOBALS%%\n$conf";
}

sub make_what_it_names {
    my ($conf, $dir) = @_;

    for my $path ($conf =~ m{(\Q$dir\E/(?:etc|var)/[^\s;"]+)}g) {
        make_path(dirname($path));

        if ($conf =~ /file:\Q$path\E/) {
            $t->write_file(substr($path, length($dir) + 1),
                           slurp($t->key) =~ tr/0-9a-f/1-9a-f0/r, 0600);

        } elsif ($conf =~ /(?:password|secret|token)_file=\Q$path\E/) {
            $t->write_file(substr($path, length($dir) + 1),
                           'whsec_' . 'QUJD' x 10 . "\n", 0600);

        } elsif ($conf =~ /doi_templates\s+\Q$path\E/) {
            make_path($path);

        } elsif ($conf =~ /ssl_certificate(?:_key)?\s+\Q$path\E/) {
            certificate($path);
        }
    }
}

sub certificate {
    my ($path) = @_;

    my $file = $t->dir . '/certificate.pem';

    if (!-e $file) {
        system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x"
               . " -keyout $file.key -out $file.crt 2>/dev/null </dev/null"
               . " && cat $file.key $file.crt > $file");
    }

    $t->write_file(substr($path, length($t->dir) + 1), slurp($file), 0600);
}

# Directives and variables

my $reference = $text{'docs/directives.md'};

my @commands = slurp("$root/src/http/ngx_http_doi_module.c")
               =~ /ngx_string\("(doi_[a-z_]+)"\),\s*NGX_HTTP_/g;
my @variables = slurp("$root/src/http/ngx_http_doi_vars.c")
                =~ /\{ ngx_string\("(doi_[a-z_]+)"\), NULL,/g;

ok(@commands > 10, 'the source registers directives');
ok(@variables > 4, 'and variables');

my ($table, $sections, $vars) = split /^## (?:Directives|Variables)\n/m,
                                $reference;

is_deeply([ sort $reference =~ /^### (doi_\w+)$/mg ], [ sort @commands ],
          'each directive has a section');
is_deeply([ $table =~ /^\| \[(doi_\w+)\]\(#\1\)/mg ], [ sort @commands ],
          'the table lists all directives, in order');
is_deeply([ sort $vars =~ /^\| `\$(doi_\w+)` \|/mg ], [ sort @variables ],
          'the table of variables lists all of them');

for my $name (@commands) {
    my ($section) = $sections =~ /^### \Q$name\E\n(.*?)(?=^### |\z)/ms;

    my @rows = $section =~ /^\| (Syntax|Default|Context): \| (.+) \|$/mg;

    is(join(' ', @rows[0, 2, 4]), 'Syntax Default Context',
       "$name: Syntax, Default, Context");
    like($rows[1], qr/^`\Q$name\E[ ;]/, "$name: its syntax");
}

# Names of directives that exist nowhere; the first ones are to come.

my %known = map { $_ => 1 } @commands, @variables,
            'doi_browser';

for my $file (grep { !/architecture/ } sort keys %text) {
    my %unknown;

    while ($text{$file} =~ /(?<![\w.])\$?(doi_[a-z_]+)/g) {
        $unknown{$1} = 1 if !$known{$1}
                            && $1 !~ /^doi_(?:link|links|store|tokens|pages
                                      |claims|redemptions|bookings|mails
                                      |deliveries|holds|outbox|booking|consent
                                      |gate)_/x;
    }

    is_deeply([ sort keys %unknown ], [], "$file: names of directives");
}

# Pages

my %status = slurp("$root/src/core/pages.c")
             =~ /\[DOI_PAGE_\w+\]\s*=\s*\{ "(\w+)", "(\d+)"/g;

is(scalar(keys %status), 29, 'the source has 29 pages');
my ($pages) = $reference =~ /^## Pages and statuses\n(.*?)^## /ms;

is_deeply({ $pages =~ /^\| `(\w+)` \| (\d+) \|/mg }, \%status,
          'pages and their statuses');

# Metrics

$t->conf(<<'EOC');
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /metrics { doi_metrics; }
    }
}
EOC

$t->start;

my %type = $t->get('/metrics')->body =~ /^# TYPE (\w+) (\w+)/mg;

ok(keys %type > 10, 'metrics');
is_deeply({ $reference =~ /^\| `(doi_\w+)(?:\{[\w,]+\})?` \| (\w+) \|/mg },
          \%type, 'the table of metrics');

for my $file (grep { !/architecture|directives/ } sort keys %text) {
    my @unknown = grep { !$type{s/_(?:bucket|sum|count)$//r} && !$known{$_} }
                  $text{$file} =~ /\b(doi_(?:links?|store|tokens|pages|claims
                                   |redemptions)_\w+)\b(?!\.)/gx;

    is_deeply(\@unknown, [], "$file: names of metrics");
}

# Alerts

SKIP: {
    my ($rules) = $text{'docs/operations.md'} =~ /^```yaml\n(.*?)^```$/ms;

    ok($rules, 'there are alerts');

    skip 'no promtool', 1 if system('promtool --version >/dev/null 2>&1');

    my $file = $t->write_file('rules.yml', $rules);
    my $out = `promtool check rules $file 2>&1`;

    is($?, 0, 'promtool takes them') or diag($out);
}

# Links between the pages

for my $file (sort keys %text) {
    my @dead;

    while ($text{$file} =~ /\]\(([^)\s]+)\)/g) {
        my ($target, $anchor) = split /#/, $1, 2;

        next if $target =~ /^\w+:/;

        my $path = $target eq '' ? "$root/$file"
                                 : dirname("$root/$file") . "/$target";

        push(@dead, $1), next if !-e $path;

        push @dead, $1 if defined $anchor && $path =~ /\.md$/
                          && !grep { $_ eq $anchor } anchors(slurp($path));
    }

    is_deeply(\@dead, [], "$file: links");
}

sub anchors {
    my ($text) = @_;

    $text =~ s/^```.*?^```$//msg;

    return map { s/[^\w\s-]//gr =~ s/ /-/gr } map { lc }
           $text =~ /^#+ (.*)$/mg;
}

done_testing();
