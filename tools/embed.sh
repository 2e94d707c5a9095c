#!/bin/sh
#
# sh tools/embed.sh PAGES_DIR > out.c
#
# Prints a C file with the files of a directory as byte arrays (a string
# literal may not be longer than 4,095 bytes in C11), for src/core/embedded.h.
# Needs sed, tr and od only.  Style sheets lose comments and blanks: they are a
# part of every page.  The order is that of the names in the C locale, so
# the same files give the same output everywhere.

set -eu

LC_ALL=C
export LC_ALL

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    echo "usage: sh tools/embed.sh PAGES_DIR > out.c" >&2
    exit 2
fi

cd "$1"

echo '/* Made by tools/embed.sh from the files of pages/.  Do not edit. */'
echo
echo '#include "embedded.h"'

content() {
    case $1 in
        *.css)  tr '\n' ' ' < "$1" \
                | sed 's#/\*[^*]*\*/##g; s/  */ /g; s/ *\([{};,]\) */\1/g
                       s/: */:/g; s/;}/}/g' ;;
        *.html) sed 's/^ *//' "$1" ;;
        *)      cat "$1" ;;
    esac
}

n=0
table=

for file in *.css *.html *.txt; do

    [ -f "$file" ] || continue

    case $file in
        *[!A-Za-z0-9._-]*)
            echo "embed.sh: $1/$file: the name may have only A-Z a-z 0-9 . _ -" \
                >&2
            exit 1
    esac

    if [ ! -r "$file" ]; then
        echo "embed.sh: $1/$file: cannot be read" >&2
        exit 1
    fi

    echo
    echo
    echo "static const unsigned char  doi_file_$n[] = {"
    content "$file" | od -A n -v -t u1 | sed 's/[0-9][0-9]*/&,/g'

    # an array may not be empty
    echo '    0'
    echo '};'

    table="$table    { \"$file\", doi_file_$n, sizeof(doi_file_$n) - 1 },
"
    n=$((n + 1))
done

if [ $n -eq 0 ]; then
    echo "embed.sh: $1: no *.css, *.html or *.txt" >&2
    exit 1
fi

echo
echo
echo 'const doi_embedded_t  doi_embedded[] = {'
printf '%s' "$table"
echo '    { NULL, NULL, 0 }'
echo '};'
