/* SPDX-License-Identifier: BSD-3-Clause */
/* A VMM in C: includes the header, links the library, makes a shim and frees it. */
#include <memfail/shim.h>
#include <stdio.h>
#include <string.h>

static int post(void *opaque, uint32_t vcpu, void (*fn)(void *arg), void *arg) {
  (void)opaque;
  (void)vcpu;
  (void)fn;
  (void)arg;
  return -1;
}

static void give_up(void *opaque, const struct memfail_incident *incident) {
  (void)opaque;
  (void)incident;
}

int main(void) {
  struct memfail_config config;
  struct memfail_error error;
  struct memfail_region region;
  memfail_shim *shim = NULL;
  memset(&config, 0, sizeof config);
  config.struct_size = sizeof config;
  config.socket_fd = -1;
  config.vcpus = 2;
  config.ops.struct_size = sizeof config.ops;
  config.ops.post = post;
  config.ops.abort = give_up;
  if (memfail_shim_create(&config, &shim, &error) != 0) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  memset(&region, 0, sizeof region);
  region.struct_size = sizeof region;
  region.size = region.page_size = 4096;
  region.hva = 4096;
  memfail_regions_begin(shim);
  if (memfail_regions_add(shim, &region, &error) != 0 ||
      memfail_regions_commit(shim, &error) != 0) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  memfail_shim_destroy(shim);
  printf("memfail-shim %s\n", memfail_version());
  return 0;
}
