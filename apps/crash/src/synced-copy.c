/*
 * Preloaded into a process, it keeps beside every file below SYNCED_COPY_DIRECTORY, as <file>.synced, what the file held
 * when it was last synced: what a power loss leaves of it. From the SYNCED_COPY_SYNCS'th sync of the process on, where
 * that is set, syncs are not carried out: the disk says yes and does nothing.
 *
 * The file is read through the descriptor that is synced. Opening and closing it once more would drop the locks that the
 * process holds on it: POSIX locks belong to the process, not to the descriptor.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int Sync(int);

static atomic_long syncs;

/* A copy that is not what was synced would make the proof lie. */
static void die(const char *what) {
  perror(what);
  abort();
}

/* The regular file's path, when it lies in the directory. */
static int path_of(int fd, char path[PATH_MAX]) {
  const char *directory = getenv("SYNCED_COPY_DIRECTORY");
  struct stat is;
  char link[64];
  if (directory == NULL || fstat(fd, &is) != 0 || !S_ISREG(is.st_mode)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) die("synced-copy: readlink");
  path[length] = '\0';
  size_t prefix = strlen(directory);
  return strncmp(path, directory, prefix) == 0 && path[prefix] == '/';
}

/* Renamed when it is whole, since the process may be killed at any time. */
static void copy(int fd, const char *path) {
  char made[PATH_MAX + 16], synced[PATH_MAX + 16];
  struct stat is;
  snprintf(made, sizeof made, "%s.synced.new", path);
  snprintf(synced, sizeof synced, "%s.synced", path);
  int out = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0 || fstat(fd, &is) != 0) die("synced-copy: open");
  for (off_t at = 0; at < is.st_size;)
    if (sendfile(out, fd, &at, (size_t)(is.st_size - at)) <= 0) die("synced-copy: sendfile");
  if (close(out) != 0 || rename(made, synced) != 0) die("synced-copy: rename");
}

static int sync_and_copy(int fd, const char *name) {
  Sync *real = (Sync *)dlsym(RTLD_NEXT, name);
  char path[PATH_MAX];
  if (real == NULL) die("synced-copy: dlsym");
  if (!path_of(fd, path)) return real(fd);
  const char *most = getenv("SYNCED_COPY_SYNCS");
  if (most != NULL && atomic_fetch_add(&syncs, 1) >= atol(most)) return 0;
  int result = real(fd);
  if (result == 0) copy(fd, path);
  return result;
}

int fsync(int fd) { return sync_and_copy(fd, "fsync"); }
int fdatasync(int fd) { return sync_and_copy(fd, "fdatasync"); }
