// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace memfail::server {
namespace {

// Peers are identified by SO_PEERCRED; who may connect at all is the mode's and
// the directory's business.
constexpr mode_t kSocketUmask = 0117;  // 0660
constexpr int kBacklog = 128;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int with_address(int (*call)(int, const sockaddr*, socklen_t), int fd, const std::string& path) {
  const sockaddr_un address = address_of(path);
  return call(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

std::string hint(int error, const std::string& path) {
  switch (error) {
    case EADDRINUSE:
      return "; another process listens there: stop it, or choose another path";
    case EACCES:
    case EPERM:
      return "; the directory must be writable for this user";
    case ENOENT:
      return "; the directory does not exist: mkdir -p '" + path.substr(0, path.rfind('/')) + "'";
    default:
      return "";
  }
}

std::unexpected<std::string> refusal(const ListenOptions& options, int error) {
  return std::unexpected(std::string(options.name) + " '" + options.path +
                         "': " + std::strerror(error) + hint(error, options.path));
}

// Only a refused connection proves that nobody listens; EAGAIN is a full backlog.
bool listener_is_gone(const std::string& path, int type) {
  struct stat file{};
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const shm::UniqueFd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return probe.valid() && with_address(::connect, probe.get(), path) != 0 && errno == ECONNREFUSED;
}

// umask before bind: there is no moment at which the socket is wider open.
int bind_with_mode(int fd, const std::string& path) {
  const mode_t before = ::umask(kSocketUmask);
  const int result = with_address(::bind, fd, path) == 0 ? 0 : errno;
  ::umask(before);
  return result;
}

int bind_or_replace(int fd, const ListenOptions& options) {
  const int error = bind_with_mode(fd, options.path);
  if (error != EADDRINUSE || !listener_is_gone(options.path, options.type)) return error;
  ::unlink(options.path.c_str());
  return bind_with_mode(fd, options.path);
}

}  // namespace

std::expected<UnixListener, std::string> UnixListener::open(const ListenOptions& options) {
  if (options.path.empty())
    return std::unexpected(std::string(options.name) + ": the path is empty");
  if (options.path.size() > kMaxSocketPath) {
    return std::unexpected(std::string(options.name) + " '" + options.path + "': the path is " +
                           std::to_string(options.path.size()) + " bytes long, the limit is " +
                           std::to_string(kMaxSocketPath));
  }
  shm::UniqueFd fd(::socket(AF_UNIX, options.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return refusal(options, errno);
  if (const int error = bind_or_replace(fd.get(), options)) return refusal(options, error);
  struct stat file{};
  if (::listen(fd.get(), kBacklog) != 0 || ::lstat(options.path.c_str(), &file) != 0) {
    const int error = errno;
    ::unlink(options.path.c_str());
    return refusal(options, error);
  }
  return UnixListener(std::move(fd), options.path, file.st_dev, file.st_ino);
}

UnixListener::~UnixListener() {
  if (!fd_.valid() || path_.empty()) return;
  struct stat file{};
  const bool ours =
      ::lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_;
  if (ours) ::unlink(path_.c_str());
}

}  // namespace memfail::server
