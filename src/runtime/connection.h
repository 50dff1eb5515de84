// A TCP or TLS connection on a loop: reads into the loop's scratch, writes at once what the kernel
// takes and queues the rest. The owner sees bytes and never epoll or OpenSSL.
//
// Reading is pulled: on_readable() says that read() has something to say; who stops calling read()
// stops the peer by TCP's own flow control, and calls resume_reading() to go on. Writing is pushed:
// write() never blocks and never fails visibly; backlog() says how much waits, on_drained() when
// nothing does. The owner is given to Loop::destroy_later(), never deleted inside a callback.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "runtime/loop.h"
#include "runtime/tls.h"

namespace domicile::runtime {

class Connection final : private Loop::Watcher {
 public:
  class Owner {
   public:
    virtual void on_connected() {}  // after connecting, or after the TLS handshake
    virtual void on_readable() = 0;
    virtual void on_drained() = 0;
    virtual void on_broken() = 0;  // reset, refused or failed; nothing else follows

   protected:
    ~Owner() = default;
  };

  enum class ReadState { data, again, end, broken };
  struct Read {
    ReadState state;
    std::string_view bytes;  // in the loop's scratch
  };

  // `connecting`: fd is from connect_tcp(); else it is connected. `tls` may be null.
  Connection(Loop& loop, Fd fd, SslPtr tls, bool connecting, Owner& owner);
  ~Connection();
  Connection(const Connection&) = delete;

  bool open() const { return fd_.valid(); }
  bool ready() const { return open() && !connecting_ && !handshaking_; }
  bool encrypted() const { return tls_ != nullptr; }
  int fd() const { return fd_.get(); }
  // What the other side of an accepted TLS connection has proved; null: nothing.
  const ClientCertificate* client_certificate() const { return certificate_.get(); }
  // Whether it would be believed in a handshake of this context as well; true without one.
  bool certificate_holds(const TlsContext& context) const;
  // After on_broken() in the handshake: certificate_fault_of() it. Not "": the alert and our end are
  // out, the socket is open still, and on_broken() comes again with what the peer sends.
  std::string_view certificate_fault() const { return certificate_fault_; }

  Read read();
  bool readable() const { return readable_; }  // something may be there that was not read yet
  void look_again() { readable_ = open(); }    // whatever the kernel's last word was
  void resume_reading();                       // on_readable() follows in this turn if so

  void write(std::string_view first, std::string_view second = {});
  // As write(), but it leaves at the end of this turn, in one piece with what else comes until then.
  void queue(std::string_view first, std::string_view second = {});
  std::size_t backlog() const { return queue_.size() - queue_sent_; }
  // Of a connection that never came up: what was written, to be sent elsewhere.
  std::string take_unsent() { return sent_bytes_ == 0 ? std::exchange(queue_, {}) : std::string(); }
  std::uint64_t sent_bytes() const { return sent_bytes_; }  // taken by the kernel so far
  // Closes with a reset instead of a FIN: the peer must not take what it has for the whole.
  void reset();
  // No more writes: TLS close_notify and FIN follow once the backlog is out.
  void finish_writing();
  // Throws away what the peer still sends, without copying it out of the kernel (and without
  // decrypting it). False once the peer is done or gone.
  bool discard_input();
  void close();
  // Gives socket and TLS state away, for another Connection; nothing may wait to be sent.
  std::pair<Fd, SslPtr> release();
  // The protocol that the TLS handshake settled on; "" when none.
  std::string_view alpn() const;

 private:
  void on_events(std::uint32_t events) override;
  void complete_connect();
  void handshake();
  void flush();
  std::size_t send_some(std::string_view first, std::string_view second);
  std::size_t send_tls(std::string_view first, std::string_view second);
  std::size_t send_plain(std::string_view first, std::string_view second);
  Read read_tls();
  void fail_later();
  void send_end();

  Loop& loop_;
  Fd fd_;
  SslPtr tls_;
  Owner& owner_;
  bool connecting_;
  bool handshaking_;
  bool readable_ = false;
  bool peer_closed_ = false;  // EPOLLRDHUP, HUP or ERR was seen: read on until the end
  bool broken_ = false;
  bool finishing_ = false;
  bool ended_ = false;  // our FIN is out
  bool resume_queued_ = false;
  bool flush_queued_ = false;
  std::unique_ptr<const ClientCertificate> certificate_;
  std::string_view certificate_fault_;
  std::string queue_;
  std::size_t queue_sent_ = 0;
  std::uint64_t sent_bytes_ = 0;
};

}  // namespace domicile::runtime
