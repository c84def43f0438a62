// SPDX-License-Identifier: BSD-3-Clause
//
// A file whose file system is another process, and which stops answering: whoever then asks
// the kernel about it (fstat, poll, close) may wait for as long as that process lives.
#pragma once

namespace memfail::hostile {

// Mounts FUSE in a mount namespace of this process's own, and opens a file there; from then
// on the server, a child in the same process group, reads requests and answers none. It
// must be killed for this process to end: our own exit would wait for it. (It ends by itself
// after half a minute.) -1: this host does not allow it; errno says why. Once a process.
int open_stuck_file();

}  // namespace memfail::hostile
