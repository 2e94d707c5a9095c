/*
 * Delivery to a Maildir, exactly once.
 *
 * The name of the file is made of the job's unique part alone, not of the time
 * as usual, so that a second try finds what the first one wrote.  A reader
 * moves it from new to cur and adds flags after a colon; once it is deleted,
 * nothing is known of it.
 *
 * Lines end with LF, as in all Maildirs.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"


#define MAILDIR_NAME    (DOI_UNIQUE_MAX + 64)


typedef struct {
    doi_errand_t  *errand;
    int            dir;
    int            tmp;
    int            new;
    int            cur;
    char           name[MAILDIR_NAME];
    char           draft[MAILDIR_NAME + 32];    /* name in tmp */
} maildir_t;


static int maildir_failed(maildir_t *m, const char *what, const char *part);
static int maildir_open(maildir_t *m);
static int maildir_part(maildir_t *m, const char *name);
static int maildir_find(maildir_t *m);
static int maildir_write(maildir_t *m);
static int maildir_body(maildir_t *m, int fd);
static int maildir_put(int fd, const uint8_t *p, size_t len);
static int maildir_publish(maildir_t *m);


void
doi_maildir_deliver(doi_errand_t *e)
{
    int        rc;
    maildir_t  m;

    m.errand = e;
    m.dir = -1;
    m.tmp = -1;
    m.new = -1;
    m.cur = -1;

    (void) snprintf(m.name, sizeof(m.name), "%s.doi", e->job.unique);
    (void) snprintf(m.draft, sizeof(m.draft), "%s.%ld", m.name,
                    (long) gettid());

    rc = maildir_open(&m);

    if (rc == DOI_OK) {
        rc = maildir_find(&m);
    }

    if (rc == DOI_NOT_FOUND) {
        rc = maildir_write(&m);
    }

    if (rc == DOI_OK) {
        doi_errand_settle(e, DOI_JOB_DONE, 0, "written");
    }

    if (m.cur != -1) {
        (void) close(m.cur);
    }

    if (m.new != -1) {
        (void) close(m.new);
    }

    if (m.tmp != -1) {
        (void) close(m.tmp);
    }

    if (m.dir != -1) {
        (void) close(m.dir);
    }
}


/* A disk or a configuration can be mended, the mail is not to be lost. */

static int
maildir_failed(maildir_t *m, const char *what, const char *part)
{
    int   err;
    char  buf[128];

    err = errno;

    doi_errand_settle(m->errand, DOI_JOB_TEMPORARY, 0,
                      "%s \"%s%s%s\" failed (%d: %s)", what,
                      m->errand->job.url, part[0] == '\0' ? "" : "/", part,
                      err, strerror_r(err, buf, sizeof(buf)));

    return DOI_ERROR;
}


static int
maildir_open(maildir_t *m)
{
    const char  *path;

    path = m->errand->job.url;

    if (path[0] != '/') {
        doi_errand_settle(m->errand, DOI_JOB_TEMPORARY, 0,
                          "the path of a Maildir must start with \"/\"");
        return DOI_ERROR;
    }

    if (mkdir(path, 0700) == -1 && errno != EEXIST) {
        return maildir_failed(m, "making", "");
    }

    m->dir = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (m->dir == -1) {
        return maildir_failed(m, "opening", "");
    }

    m->tmp = maildir_part(m, "tmp");
    if (m->tmp == -1) {
        return DOI_ERROR;
    }

    m->new = maildir_part(m, "new");
    if (m->new == -1) {
        return DOI_ERROR;
    }

    m->cur = maildir_part(m, "cur");

    return m->cur != -1 ? DOI_OK : DOI_ERROR;
}


static int
maildir_part(maildir_t *m, const char *name)
{
    int  fd;

    if (mkdirat(m->dir, name, 0700) == 0) {

        if (fsync(m->dir) == -1) {
            (void) maildir_failed(m, "syncing", "");
            return -1;
        }

    } else if (errno != EEXIST) {
        (void) maildir_failed(m, "making", name);
        return -1;
    }

    fd = openat(m->dir, name, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        (void) maildir_failed(m, "opening", name);
    }

    return fd;
}


/*
 * In new first: a reader moves files from there to cur.  What is found may not
 * be on the disk yet, if we died just after it was put there.
 */

static int
maildir_find(maildir_t *m)
{
    int             fd;
    DIR            *dir;
    size_t          len;
    struct stat     st;
    struct dirent  *entry;

    if (fstatat(m->new, m->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        return fsync(m->new) == 0 ? DOI_OK
                                  : maildir_failed(m, "syncing", "new");
    }

    fd = openat(m->cur, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return maildir_failed(m, "opening", "cur");
    }

    dir = fdopendir(fd);
    if (dir == NULL) {
        (void) maildir_failed(m, "reading", "cur");
        (void) close(fd);
        return DOI_ERROR;
    }

    len = strlen(m->name);

    do {
        errno = 0;
        entry = readdir(dir);

    } while (entry != NULL
             && (strncmp(entry->d_name, m->name, len) != 0
                 || (entry->d_name[len] != '\0' && entry->d_name[len] != ':')));

    if (entry == NULL && errno != 0) {
        (void) maildir_failed(m, "reading", "cur");
        (void) closedir(dir);
        return DOI_ERROR;
    }

    (void) closedir(dir);

    if (entry == NULL) {
        return DOI_NOT_FOUND;
    }

    return fsync(m->cur) == 0 ? DOI_OK : maildir_failed(m, "syncing", "cur");
}


static int
maildir_write(maildir_t *m)
{
    int  fd, rc;

    /* of a thread with our number, that died */
    (void) unlinkat(m->tmp, m->draft, 0);

    fd = openat(m->tmp, m->draft,
                O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);
    if (fd == -1) {
        return maildir_failed(m, "creating a file in", "tmp");
    }

    rc = maildir_body(m, fd);

    if (rc == DOI_OK && fsync(fd) == -1) {
        rc = maildir_failed(m, "syncing a file in", "tmp");
    }

    if (close(fd) == -1 && rc == DOI_OK) {
        rc = maildir_failed(m, "closing a file in", "tmp");
    }

    if (rc == DOI_OK) {
        rc = maildir_publish(m);
    }

    (void) unlinkat(m->tmp, m->draft, 0);

    return rc;
}


static int
maildir_body(maildir_t *m, int fd)
{
    int         rc;
    size_t      i, n;
    uint8_t    *text;
    doi_str_t   body;

    body = m->errand->job.body;

    text = malloc(body.len + 1);
    if (text == NULL) {
        return maildir_failed(m, "writing to a file in", "tmp");
    }

    n = 0;

    for (i = 0; i < body.len; i++) {
        if (body.data[i] != '\r' || i + 1 == body.len
            || body.data[i + 1] != '\n')
        {
            text[n++] = body.data[i];
        }
    }

    rc = maildir_put(fd, text, n);
    if (rc != DOI_OK) {
        (void) maildir_failed(m, "writing to a file in", "tmp");
    }

    free(text);

    return rc;
}


static int
maildir_put(int fd, const uint8_t *p, size_t len)
{
    ssize_t  n;

    while (len != 0) {

        n = write(fd, p, len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return DOI_ERROR;
        }

        p += n;
        len -= (size_t) n;
    }

    return DOI_OK;
}


/* link, since rename would replace; not all file systems have it. */

static int
maildir_publish(maildir_t *m)
{
    int  rc;

    rc = linkat(m->tmp, m->draft, m->new, m->name, 0);

    if (rc == -1
        && (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS))
    {
        rc = renameat(m->tmp, m->draft, m->new, m->name);
    }

    if (rc == -1 && errno != EEXIST) {
        return maildir_failed(m, "moving a file to", "new");
    }

    if (fsync(m->new) == -1) {
        return maildir_failed(m, "syncing", "new");
    }

    return DOI_OK;
}
