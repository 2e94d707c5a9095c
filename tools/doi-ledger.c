/*
 * doi-ledger: verifies the consent ledger in a copy of a store, without nginx.
 *
 *   doi-ledger --help
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "core/ledger.h"
#include "core/seal.h"
#include "store/lmdb_internal.h"


#define LEDGER_ROWS     10000           /* of one piece                      */
#define LEDGER_KEY_FILE 4096
#define LEDGER_MAP      ((size_t) 1 << 40)


typedef struct {
    doi_keyring_t      *ring;
    doi_ledger_keys_t   keys;
    doi_verify_t        verify;
    const char         *why;
    uint32_t            epoch;          /* --seal                            */
    uint8_t             mac[32];
    int                 seal;
    int                 seal_known;
} ledger_t;


static const char *arguments(ledger_t *ledger, int argc, char **argv);
static int verify(ledger_t *ledger, const char *directory, doi_str_t arg);
static int add_key(ledger_t *ledger, const char *arg);
static int parse_seal(ledger_t *ledger, const char *arg);
static int open_store(const char *path, MDB_env **env,
    doi_lmdb_cursor_t *cursor);
static doi_result_t read_secret(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static doi_result_t verify_piece(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static doi_result_t find_seal(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out);
static int report(const ledger_t *ledger);


static const char  usage[] =
    "usage: doi-ledger DIRECTORY ID:KEYFILE ... [--seal NUMBER:MAC]\n"
    "\n"
    "Verifies the consent ledger in a copy of a store, without nginx.  Nothing\n"
    "is written.\n"
    "\n"
    "  DIRECTORY          a copy of the store (mdb_copy STORE DIRECTORY), not one\n"
    "                     that nginx is using\n"
    "  ID:KEYFILE         as in doi_key, e.g. 1:/etc/nginx/doi.key; the key that\n"
    "                     the ledger's secret is sealed with has to be there\n"
    "  --seal NUMBER:MAC  what GET ledger/seal said once: it must be in there\n"
    "  --help             this text\n"
    "\n"
    "Prints what is wrong, the counts, and the last seal.\n"
    "\n"
    "Exit status: 0 intact, 1 there are problems, 2 it could not be checked.\n";


int
main(int argc, char **argv)
{
    int          rc;
    doi_str_t    arg;
    ledger_t     ledger;
    const char  *directory;

    memset(&ledger, 0, sizeof(ledger));

    if (argc == 2 && (strcmp(argv[1], "--help") == 0
                      || strcmp(argv[1], "-h") == 0))
    {
        return fputs(usage, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 2;
    }

    ledger.ring = doi_keyring_new();
    directory = arguments(&ledger, argc, argv);

    arg.data = (uint8_t *) &ledger;
    arg.len = sizeof(ledger);

    rc = directory != NULL && verify(&ledger, directory, arg) == DOI_OK
         ? report(&ledger) : 2;

    doi_ledger_keys_free(&ledger.keys);
    doi_keyring_free(ledger.ring);

    return rc;
}


/* The directory; NULL: they are wrong, and it is said. */

static const char *
arguments(ledger_t *ledger, int argc, char **argv)
{
    int          i, rc;
    const char  *directory;

    directory = NULL;

    for (i = 1; i < argc; i++) {

        if (strcmp(argv[i], "--seal") == 0 && i + 1 < argc) {
            rc = parse_seal(ledger, argv[++i]);

        } else if (argv[i][0] == '-') {
            fprintf(stderr, "doi-ledger: \"%s\" is no option\n%s", argv[i],
                    usage);
            return NULL;

        } else if (directory == NULL) {
            directory = argv[i];
            rc = DOI_OK;

        } else {
            rc = ledger->ring == NULL ? DOI_ERROR : add_key(ledger, argv[i]);
        }

        if (rc != DOI_OK) {
            return NULL;
        }
    }

    if (directory == NULL || ledger->ring == NULL
        || doi_keyring_count(ledger->ring) == 0)
    {
        fputs(usage, stderr);
        return NULL;
    }

    return directory;
}


static int
verify(ledger_t *ledger, const char *directory, doi_str_t arg)
{
    int                 rc;
    MDB_env            *env;
    doi_buf_t           out;
    doi_bview_t         view;
    doi_lmdb_cursor_t   cursor;

    memset(&out, 0, sizeof(out));

    if (open_store(directory, &env, &cursor) != DOI_OK) {
        return DOI_ERROR;
    }

    doi_bview_init(&view, &doi_lmdb_backend, &cursor);

    ledger->why = "the store has no consent ledger";
    rc = doi_bview_run(&view, read_secret, 0, arg, &out) == DOI_WON;

    if (rc) {
        ledger->why = "the store cannot be read";

        do {
            rc = doi_bview_run(&view, verify_piece, 0, arg, &out) == DOI_WON;
        } while (rc && !ledger->verify.done);
    }

    if (rc && ledger->seal) {
        rc = doi_bview_run(&view, find_seal, 0, arg, &out) == DOI_WON;
    }

    doi_bview_free(&view);
    mdb_txn_abort(cursor.txn);
    mdb_env_close(env);

    if (!rc) {
        fprintf(stderr, "doi-ledger: %s\n", ledger->why);
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
add_key(ledger_t *ledger, const char *arg)
{
    FILE         *f;
    char         *end;
    size_t        n, len;
    uint8_t       text[LEDGER_KEY_FILE], secret[DOI_SECRET_MAX];
    const char   *err;
    unsigned long id;

    id = strtoul(arg, &end, 10);

    if (end == arg || *end != ':' || id > 255) {
        fprintf(stderr, "doi-ledger: \"%s\" is not ID:KEYFILE\n", arg);
        return DOI_ERROR;
    }

    f = fopen(end + 1, "rb");

    if (f == NULL) {
        fprintf(stderr, "doi-ledger: %s: %s\n", end + 1, strerror(errno));
        return DOI_ERROR;
    }

    n = fread(text, 1, sizeof(text), f);
    (void) fclose(f);

    if (doi_secret_parse(text, n, secret, &len, &err) != DOI_OK) {
        fprintf(stderr, "doi-ledger: %s: %s\n", end + 1, err);
        return DOI_ERROR;
    }

    if (doi_keyring_add(ledger->ring, (uint8_t) id, secret, len) != DOI_OK) {
        fprintf(stderr, "doi-ledger: key %lu cannot be used\n", id);
        return DOI_ERROR;
    }

    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(text, sizeof(text));

    return DOI_OK;
}


static int
parse_seal(ledger_t *ledger, const char *arg)
{
    char          *end;
    size_t         len;
    unsigned long  n;

    n = strtoul(arg, &end, 10);

    if (end == arg || *end != ':' || n > UINT32_MAX
        || OPENSSL_hexstr2buf_ex(ledger->mac, sizeof(ledger->mac), &len,
                                 end + 1, '\0')
           != 1
        || len != sizeof(ledger->mac))
    {
        fprintf(stderr, "doi-ledger: \"%s\" is not NUMBER:MAC\n", arg);
        return DOI_ERROR;
    }

    ledger->epoch = (uint32_t) n;
    ledger->seal = 1;

    return DOI_OK;
}


/* Without a lock: it is a copy. */

static int
open_store(const char *path, MDB_env **env, doi_lmdb_cursor_t *cursor)
{
    int  rc;

    memset(cursor, 0, sizeof(*cursor));
    *env = NULL;

    rc = mdb_env_create(env);

    if (rc == 0) {
        rc = mdb_env_set_mapsize(*env, LEDGER_MAP);
    }

    if (rc == 0) {
        rc = mdb_env_open(*env, path, MDB_RDONLY|MDB_NOLOCK|MDB_NOTLS, 0600);
    }

    if (rc == 0) {
        rc = mdb_txn_begin(*env, NULL, MDB_RDONLY, &cursor->txn);
    }

    if (rc == 0) {
        rc = mdb_dbi_open(cursor->txn, NULL, 0, &cursor->dbi);
    }

    if (rc != 0) {
        fprintf(stderr, "doi-ledger: %s: %s\n", path, mdb_strerror(rc));
        mdb_txn_abort(cursor->txn);
        mdb_env_close(*env);
        return DOI_ERROR;
    }

    return DOI_OK;
}


static doi_result_t
read_secret(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int        rc;
    uint8_t    secret[DOI_LEDGER_SECRET];
    ledger_t  *ledger;
    doi_str_t  sealed;
    doi_buf_t  plain = { secret, 0, sizeof(secret) };

    static const doi_str_t  name = doi_str("ledger");

    (void) now;
    (void) out;

    ledger = (ledger_t *) arg.data;

    if (view->get(view, DOI_TABLE_META, name, &sealed) != DOI_OK) {
        return DOI_RETRY;
    }

    ledger->why = "none of these keys opens the ledger's secret";

    rc = doi_unseal(ledger->ring, name, sealed, &plain);

    if (rc == DOI_OK && plain.len == sizeof(secret)) {
        rc = doi_ledger_keys(secret, &ledger->keys);
    }

    OPENSSL_cleanse(secret, sizeof(secret));

    return rc == DOI_OK ? DOI_WON : DOI_RETRY;
}


static doi_result_t
verify_piece(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    ledger_t  *ledger;

    (void) now;
    (void) out;

    ledger = (ledger_t *) arg.data;

    return doi_ledger_verify(view, &ledger->keys, &ledger->verify, LEDGER_ROWS)
           == DOI_OK ? DOI_WON : DOI_RETRY;
}


static doi_result_t
find_seal(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int        rc;
    ledger_t  *ledger;

    (void) now;
    (void) out;

    ledger = (ledger_t *) arg.data;

    rc = doi_ledger_seal_known(view, ledger->epoch, ledger->mac);

    ledger->seal_known = (rc == DOI_OK);

    return rc == DOI_ERROR ? DOI_RETRY : DOI_WON;
}


static int
report(const ledger_t *ledger)
{
    unsigned             i;
    const doi_verify_t  *v;

    v = &ledger->verify;

    for (i = 0; i < DOI_PROBLEMS && i < v->problems; i++) {
        printf("problem: %s\n", v->text[i]);
    }

    if (ledger->seal && !ledger->seal_known) {
        printf("problem: epoch %u with this MAC is not in the ledger\n",
               (unsigned) ledger->epoch);
    }

    printf("%llu entries of %llu contacts, %u epochs, %llu heads not sealed, "
           "%llu problems\nlast seal: %u:",
           (unsigned long long) v->entries, (unsigned long long) v->contacts,
           (unsigned) v->epochs, (unsigned long long) v->unsealed,
           (unsigned long long) v->problems, (unsigned) v->last_epoch);

    for (i = 0; i < sizeof(v->last_mac); i++) {
        printf("%02x", v->last_mac[i]);
    }

    printf("\n");

    return v->problems || (ledger->seal && !ledger->seal_known) ? 1 : 0;
}
