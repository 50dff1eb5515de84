#include "runtime/connection.h"

#include <algorithm>
#include <cerrno>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"
#include "runtime/socket.h"

namespace domicile::runtime {
namespace {
constexpr std::size_t kTlsRecordBytes = 16 * 1024;
constexpr std::size_t kKeptQueueBytes = 1024;  // more is given back when the queue is empty
}  // namespace

Connection::Connection(Loop& loop, Fd fd, SslPtr tls, bool connecting, Owner& owner)
    : loop_(loop),
      fd_(std::move(fd)),
      tls_(std::move(tls)),
      owner_(owner),
      connecting_(connecting),
      handshaking_(tls_ != nullptr && SSL_is_init_finished(tls_.get()) == 0) {
  if (tls_ != nullptr && !handshaking_) certificate_ = client_certificate_of(tls_.get());
  if (!loop_.watch(fd_, *this)) fail_later();
}

Connection::~Connection() { close(); }

void Connection::close() {
  loop_.unwatch(fd_, *this);
  fd_.reset();
  readable_ = false;
}

std::pair<Fd, SslPtr> Connection::release() {
  CHECK(backlog() == 0 && !finishing_ && !broken_);
  loop_.unwatch(fd_, *this);
  readable_ = false;
  return {std::move(fd_), std::move(tls_)};
}

std::string_view Connection::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  if (tls_ != nullptr) SSL_get0_alpn_selected(tls_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

void Connection::fail_later() {
  broken_ = true;
  loop_.wake(*this);
}

void Connection::resume_reading() {
  if (!open() || resume_queued_) return;
  resume_queued_ = true;
  loop_.wake(*this);
}

void Connection::on_events(std::uint32_t events) {
  if (!open()) return;
  if (events == 0) flush_queued_ = false;
  const bool resumed = events == 0 && std::exchange(resume_queued_, false);
  if (connecting_ && events != 0) complete_connect();
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) peer_closed_ = true;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) readable_ = true;
  if (!connecting_ && handshaking_ && !broken_) handshake();
  if (broken_) {
    owner_.on_broken();
    return;
  }
  if (!ready()) return;
  if (backlog() > 0) {
    flush();
    if (broken_) {
      owner_.on_broken();
      return;
    }
    if (backlog() == 0) owner_.on_drained();
  }
  if (open() && (readable_ || resumed)) owner_.on_readable();
  if (open() && (events & EPOLLERR)) owner_.on_broken();
}

void Connection::complete_connect() {
  connecting_ = false;
  if (pending_error(fd_) != 0) {
    broken_ = true;
    return;
  }
  if (handshaking_) return;
  owner_.on_connected();
}

void Connection::handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(tls_.get());
  if (done == 1) {
    handshaking_ = false;
    readable_ = true;  // the first request may have come with the last flight
    certificate_ = client_certificate_of(tls_.get());
    owner_.on_connected();
    return;
  }
  const int error = SSL_get_error(tls_.get(), done);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  broken_ = true;
  certificate_fault_ = certificate_fault_of(tls_.get());
  if (!certificate_fault_.empty()) ::shutdown(fd_.get(), SHUT_WR);  // behind the alert
}

bool Connection::certificate_holds(const TlsContext& context) const {
  return certificate_ == nullptr || context.believes(*tls_);
}

Connection::Read Connection::read() {
  if (!ready()) return {ReadState::again, {}};
  if (tls_ != nullptr) return read_tls();
  const auto scratch = loop_.scratch();
  const ssize_t got = ::recv(fd_.get(), scratch.data(), scratch.size(), 0);
  if (got > 0) {
    const auto size = static_cast<std::size_t>(got);
    // A short read empties the socket: the next byte raises a new edge. Not so for a FIN seen
    // before.
    if (size < scratch.size() && !peer_closed_) readable_ = false;
    return {ReadState::data, {scratch.data(), size}};
  }
  readable_ = false;
  if (got == 0) return {ReadState::end, {}};
  if (errno == EAGAIN || errno == EINTR) return {ReadState::again, {}};
  return {ReadState::broken, {}};
}

Connection::Read Connection::read_tls() {
  const auto scratch = loop_.scratch();
  ERR_clear_error();
  const int got = SSL_read(tls_.get(), scratch.data(), static_cast<int>(scratch.size()));
  if (got > 0) return {ReadState::data, {scratch.data(), static_cast<std::size_t>(got)}};
  readable_ = false;
  switch (SSL_get_error(tls_.get(), got)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {ReadState::again, {}};
    case SSL_ERROR_ZERO_RETURN: return {ReadState::end, {}};
    default: return {ReadState::broken, {}};
  }
}

void Connection::write(std::string_view first, std::string_view second) {
  if (!open() || finishing_ || broken_) return;
  const bool small_tls = tls_ != nullptr && first.size() + second.size() <= kTlsRecordBytes;
  if (backlog() > 0 || !ready() || small_tls) {
    const bool waiting = backlog() > 0 || !ready();
    queue_.append(first).append(second);
    if (!waiting) flush();  // one record for head and body
    return;
  }
  std::size_t sent = send_some(first, second);
  if (sent < first.size()) {
    queue_.append(first.substr(sent)).append(second);
  } else {
    queue_.append(second.substr(sent - first.size()));
  }
}

void Connection::queue(std::string_view first, std::string_view second) {
  if (!open() || finishing_ || broken_) return;
  queue_.append(first).append(second);
  if (ready() && !std::exchange(flush_queued_, true)) loop_.wake(*this);
}

// As much as the kernel takes now. Failing sets broken_, which the owner learns later in this turn.
std::size_t Connection::send_some(std::string_view first, std::string_view second) {
  const std::size_t sent = tls_ != nullptr ? send_tls(first, second) : send_plain(first, second);
  sent_bytes_ += sent;
  return sent;
}

std::size_t Connection::send_tls(std::string_view first, std::string_view second) {
  std::size_t total = 0;
  for (const std::string_view part : {first, second}) {
    std::size_t done = 0;
    while (done < part.size()) {
      ERR_clear_error();
      const int sent = SSL_write(tls_.get(), part.data() + done,
                                 static_cast<int>(std::min(part.size() - done, kTlsRecordBytes)));
      if (sent <= 0) {
        const int error = SSL_get_error(tls_.get(), sent);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) fail_later();
        return total + done;
      }
      done += static_cast<std::size_t>(sent);
    }
    total += done;
  }
  return total;
}

std::size_t Connection::send_plain(std::string_view first, std::string_view second) {
  ssize_t sent = 0;
  if (second.empty()) {  // the kernel has less to copy and to check
    sent = ::send(fd_.get(), first.data(), first.size(), MSG_NOSIGNAL);
  } else {
    iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                      {const_cast<char*>(second.data()), second.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  }
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno != EAGAIN && errno != EINTR) fail_later();
  return 0;
}

void Connection::reset() {
  if (!open()) return;
  const linger hard{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close();
}

void Connection::flush() {
  while (backlog() > 0 && !broken_) {
    const std::size_t sent = send_some(std::string_view(queue_).substr(queue_sent_), {});
    if (sent == 0) break;
    queue_sent_ += sent;
  }
  if (backlog() == 0) {
    queue_sent_ = 0;
    if (queue_.capacity() > kKeptQueueBytes) {
      queue_ = std::string();
    } else {
      queue_.clear();
    }
    if (finishing_) send_end();
  } else if (queue_sent_ > queue_.size() / 2) {
    queue_.erase(0, std::exchange(queue_sent_, 0));
  }
}

void Connection::finish_writing() {
  if (!open() || finishing_) return;
  finishing_ = true;
  if (backlog() == 0 && ready()) send_end();
}

void Connection::send_end() {
  if (std::exchange(ended_, true)) return;
  if (tls_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(tls_.get());
  }
  ::shutdown(fd_.get(), SHUT_WR);
}

bool Connection::discard_input() {
  const auto scratch = loop_.scratch();
  while (open()) {
    const ssize_t got = ::recv(fd_.get(), scratch.data(), scratch.size(), MSG_TRUNC);
    if (got > 0) continue;
    readable_ = false;
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  return false;
}

}  // namespace domicile::runtime
