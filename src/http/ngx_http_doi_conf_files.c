/*
 * Setters of the directives that have to do with files: the store's directory,
 * keys, templates.
 */

#include "ngx_http_doi.h"

#include <sys/file.h>


static int ngx_http_doi_find_fd(int fd, struct stat *file);
static ngx_int_t ngx_http_doi_remember_ring(ngx_conf_t *cf,
    doi_keyring_t *ring);
static void ngx_http_doi_free_ring(void *data);
static void ngx_http_doi_free_pages(void *data);


#define NGX_HTTP_DOI_STORE_MIN     1048576      /* bytes */
#define NGX_HTTP_DOI_TEMPLATE_MAX  262144       /* bytes */

static const char  ngx_http_doi_lock_name[] = "/instance.lock";


char *
ngx_http_doi_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_main_conf_t *mcf = conf;

    ngx_str_t  *value, size;
    ngx_path_t *path;

    if (mcf->store.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->store = value[1];
    mcf->store_size = 1024 * 1024 * 1024;

    if (mcf->store.len == 0) {
        return "needs a path";
    }

    if (mcf->store.len > 1 && mcf->store.data[mcf->store.len - 1] == '/') {
        mcf->store.len--;
        mcf->store.data[mcf->store.len] = '\0';
    }

    if (ngx_conf_full_name(cf->cycle, &mcf->store, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {

        if (value[2].len < 5 || ngx_strncmp(value[2].data, "size=", 5) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown parameter \"%V\" of \"doi_store\": "
                               "only \"size=\" is known", &value[2]);
            return NGX_CONF_ERROR;
        }

        size.data = value[2].data + 5;
        size.len = value[2].len - 5;

        mcf->store_size = ngx_parse_offset(&size);

        if (mcf->store_size == NGX_ERROR
            || mcf->store_size < NGX_HTTP_DOI_STORE_MIN)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\" of \"doi_store\": give at "
                               "least \"size=1m\"", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    /* nginx creates the directory, 0700, owned by the worker user */

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->name = mcf->store;
    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * One nginx per store.  The lock belongs to an open file that all processes
 * of one nginx share: a reload finds it among its own descriptors, a binary
 * upgrade inherits it, another nginx cannot have it.  It is taken while the
 * configuration is read, because a failure later than that would kill a
 * master that only wanted to reload.
 */

char *
ngx_http_doi_store_lock(ngx_conf_t *cf, ngx_http_doi_main_conf_t *mcf)
{
    int              n;
    u_char          *name;
    ngx_fd_t         fd;
    ngx_err_t        err;
    struct stat      file;
    ngx_file_info_t  fi;

    if (ngx_file_info(mcf->store.data, &fi) == NGX_FILE_ERROR) {

        err = ngx_errno;

        if (err != NGX_ENOENT
            || (ngx_create_dir(mcf->store.data, 0700) == NGX_FILE_ERROR
                && ngx_errno != NGX_EEXIST))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               "\"doi_store\" cannot create the directory "
                               "\"%V\": create its parent directory, or give "
                               "a path that can be written", &mcf->store);
            return NGX_CONF_ERROR;
        }

    } else if (!ngx_is_dir(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_store\" needs a directory, but \"%V\" is "
                           "none: give another path", &mcf->store);
        return NGX_CONF_ERROR;
    }

    if (access((char *) mcf->store.data, W_OK|X_OK) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"doi_store\" cannot write to \"%V\": give a path "
                           "on a file system that can be written, and mind "
                           "its permissions", &mcf->store);
        return NGX_CONF_ERROR;
    }

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_CONF_OK;
    }

    name = ngx_pnalloc(cf->temp_pool,
                       mcf->store.len + sizeof(ngx_http_doi_lock_name));
    if (name == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_cpystrn(ngx_cpymem(name, mcf->store.data, mcf->store.len),
                       (u_char *) ngx_http_doi_lock_name,
                       sizeof(ngx_http_doi_lock_name));

    /* the directory belongs to the workers: root follows no link in it */

    fd = open((char *) name, O_RDWR|O_CREAT|O_NOFOLLOW, 0600);

    if (fd == NGX_INVALID_FILE || fstat(fd, &file) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"doi_store\" cannot open \"%s\": mind the "
                           "permissions of the directory", name);
        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        return NGX_CONF_ERROR;
    }

    n = ngx_http_doi_find_fd(fd, &file);

    if (n != -1) {
        /* ours since an earlier configuration or binary */
        (void) ngx_close_file(fd);
        fd = n;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == 0) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                       "the store \"%V\" of \"doi_store\" is in use by "
                       "another nginx: stop that one, or give each its own "
                       "path", &mcf->store);

    (void) ngx_close_file(fd);

    return NGX_CONF_ERROR;
}


/* Another descriptor of this process for the same file, or -1. */

static int
ngx_http_doi_find_fd(int fd, struct stat *file)
{
    int             n, found;
    DIR            *dir;
    struct stat     other;
    struct dirent  *de;

    dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return -1;
    }

    found = -1;

    while (found == -1 && (de = readdir(dir)) != NULL) {

        n = (int) ngx_atoi((u_char *) de->d_name, ngx_strlen(de->d_name));

        if (n >= 0 && n != fd && n != dirfd(dir) && fstat(n, &other) == 0
            && other.st_dev == file->st_dev && other.st_ino == file->st_ino)
        {
            found = n;
        }
    }

    (void) closedir(dir);

    return found;
}


char *
ngx_http_doi_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    size_t               len;
    ngx_int_t            id;
    ngx_str_t           *value, path;
    doi_str_t            content;
    const char          *err;
    ngx_file_info_t      fi;
    ngx_pool_cleanup_t  *cln;
    u_char               secret[DOI_SECRET_MAX];

    value = cf->args->elts;

    id = ngx_atoi(value[1].data, value[1].len);

    if (id == NGX_ERROR || id > 255) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid key id \"%V\" of \"doi_key\": give a "
                           "number from 0 to 255", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (value[2].len <= 5 || ngx_strncmp(value[2].data, "file:", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid second argument of \"doi_key\": give "
                           "\"file:PATH\"");
        return NGX_CONF_ERROR;
    }

    path.data = value[2].data + 5;
    path.len = value[2].len - 5;

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_doi_read_file(cf, &path, DOI_SECRET_MAX * 2 + 64, &fi,
                               &content)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_key\" cannot use \"%V\": make the file with "
                           "\"openssl rand -hex 32\" and chmod 600", &path);
        return NGX_CONF_ERROR;
    }

    if (fi.st_mode & (S_IRWXO|S_IWGRP)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key file \"%V\" of \"doi_key\" can be read or "
                           "written by others: \"chmod 600 %V\", and make a "
                           "new key if somebody may have read it",
                           &path, &path);
        return NGX_CONF_ERROR;
    }

    if (doi_secret_parse(content.data, content.len, secret, &len, &err)
        != DOI_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key file \"%V\" of \"doi_key\" is not valid: "
                           "%s; make one with \"openssl rand -hex 32\"",
                           &path, err);
        return NGX_CONF_ERROR;
    }

    if (lcf->ring == NULL) {

        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_CONF_ERROR;
        }

        lcf->ring = doi_keyring_new();
        if (lcf->ring == NULL) {
            return NGX_CONF_ERROR;
        }

        cln->handler = ngx_http_doi_free_ring;
        cln->data = lcf->ring;

        if (ngx_http_doi_remember_ring(cf, lcf->ring) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (doi_keyring_add(lcf->ring, (uint8_t) id, secret, len) != DOI_OK) {
        ngx_explicit_memzero(secret, sizeof(secret));
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_key %V\" cannot be added: each id may stand "
                           "only once, and there may be %d keys at most",
                           &value[1], DOI_KEYS_MAX);
        return NGX_CONF_ERROR;
    }

    ngx_explicit_memzero(secret, sizeof(secret));
    ngx_explicit_memzero((void *) content.data, content.len);

    return NGX_CONF_OK;
}


/* What one server sealed is delivered by a process that knows all keys. */

static ngx_int_t
ngx_http_doi_remember_ring(ngx_conf_t *cf, doi_keyring_t *ring)
{
    doi_keyring_t            **p;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);

    if (mcf->rings == NULL) {
        mcf->rings = ngx_array_create(cf->pool, 2, sizeof(doi_keyring_t *));
        if (mcf->rings == NULL) {
            return NGX_ERROR;
        }
    }

    p = ngx_array_push(mcf->rings);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *p = ring;

    return NGX_OK;
}


/* A booking names its pages by their directory; empty: the built-in ones. */

ngx_int_t
ngx_http_doi_remember_pages(ngx_conf_t *cf, ngx_str_t *path,
    doi_pages_t *pages)
{
    ngx_http_doi_pages_set_t  *set;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);

    if (mcf->pages == NULL) {
        mcf->pages = ngx_array_create(cf->pool, 2,
                                      sizeof(ngx_http_doi_pages_set_t));
        if (mcf->pages == NULL) {
            return NGX_ERROR;
        }
    }

    set = ngx_array_push(mcf->pages);
    if (set == NULL) {
        return NGX_ERROR;
    }

    set->path = *path;
    set->pages = pages;

    return NGX_OK;
}


doi_pages_t *
ngx_http_doi_pages_create(ngx_conf_t *cf)
{
    doi_pages_t         *pages;
    ngx_pool_cleanup_t  *cln;
    char                 err[NGX_MAX_CONF_ERRSTR];

    pages = ngx_pcalloc(cf->pool, sizeof(doi_pages_t));
    if (pages == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    doi_pages_builtin(pages);

    cln->handler = ngx_http_doi_free_pages;
    cln->data = pages;

    if (doi_pages_check(pages, err, sizeof(err)) != DOI_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the built-in pages are broken: %s", err);
        return NULL;
    }

    return pages;
}


char *
ngx_http_doi_templates(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    u_char          *p;
    ngx_err_t        error;
    ngx_str_t       *value, dir, path, name;
    ngx_dir_t        d;
    doi_str_t        content;
    ngx_file_info_t  fi;
    char             err[NGX_MAX_CONF_ERRSTR];

    if (lcf->pages != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    dir = value[1];

    if (ngx_conf_full_name(cf->cycle, &dir, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    lcf->pages = ngx_http_doi_pages_create(cf);
    if (lcf->pages == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_open_dir(&dir, &d) == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"doi_templates\" cannot open the directory "
                           "\"%V\"", &dir);
        return NGX_CONF_ERROR;
    }

    for ( ;; ) {
        ngx_set_errno(0);

        if (ngx_read_dir(&d) == NGX_ERROR) {
            error = ngx_errno;

            if (error != 0 && error != NGX_ENOMOREFILES) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, error,
                                   "\"doi_templates\" cannot read the "
                                   "directory \"%V\"", &dir);
                goto failed;
            }

            break;
        }

        name.data = ngx_de_name(&d);
        name.len = ngx_de_namelen(&d);

        if (name.data[0] == '.') {
            continue;
        }

        path.len = dir.len + 1 + name.len;
        path.data = ngx_pnalloc(cf->pool, path.len + 1);
        if (path.data == NULL) {
            goto failed;
        }

        p = ngx_cpymem(path.data, dir.data, dir.len);
        *p++ = '/';
        p = ngx_cpymem(p, name.data, name.len);
        *p = '\0';

        if (ngx_http_doi_read_file(cf, &path, NGX_HTTP_DOI_TEMPLATE_MAX, &fi,
                                   &content)
            != NGX_OK)
        {
            goto failed;
        }

        switch (doi_pages_override(lcf->pages,
                                   (char *) path.data + dir.len + 1, content,
                                   err, sizeof(err)))
        {
        case DOI_OK:
            break;

        case DOI_NOT_FOUND:
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"doi_templates\" does not know what \"%V\" "
                               "is for: it is ignored", &path);
            break;

        default:
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"doi_templates\": \"%V\": %s", &path, err);
            goto failed;
        }
    }

    (void) ngx_close_dir(&d);

    if (doi_pages_check(lcf->pages, err, sizeof(err)) != DOI_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_templates %V\": %s", &dir, err);
        return NGX_CONF_ERROR;
    }

    lcf->templates = dir;

    if (ngx_http_doi_remember_pages(cf, &dir, lcf->pages) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;

failed:

    (void) ngx_close_dir(&d);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_doi_read_file(ngx_conf_t *cf, ngx_str_t *path, size_t max,
    ngx_file_info_t *fi, doi_str_t *content)
{
    u_char    *buf;
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_int_t  rc;

    rc = NGX_ERROR;

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot open \"%V\"", path);
        return NGX_ERROR;
    }

    if (ngx_fd_info(fd, fi) == NGX_FILE_ERROR || !ngx_is_file(fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a file", path);
        goto done;
    }

    if (ngx_file_size(fi) > (off_t) max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is larger than %uz bytes", path, max);
        goto done;
    }

    buf = ngx_pnalloc(cf->pool, max);
    if (buf == NULL) {
        goto done;
    }

    n = ngx_read_fd(fd, buf, max);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot read \"%V\"", path);
        goto done;
    }

    content->data = buf;
    content->len = n;

    rc = NGX_OK;

done:

    (void) ngx_close_file(fd);

    return rc;
}


static void
ngx_http_doi_free_ring(void *data)
{
    doi_keyring_free(data);
}


static void
ngx_http_doi_free_pages(void *data)
{
    doi_pages_free(data);
}
