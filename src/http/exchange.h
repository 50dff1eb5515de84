// One request and its answer, as seen by whoever answers it on the loop. A Service looks at each
// request head and either answers at once through the connection, or gives a Responder that goes
// on: it is told of the body, and calls answer(), or send() and finish().
//
// The exchange ends in exactly one of two ways, after which neither side touches the other again:
// the responder's answer is complete (answer(), finish(), abort()), or the connection calls
// on_gone(). All on the loop's thread; nothing here may block.
#pragma once

#include <string_view>

#include "wire/http1_path.h"
#include "wire/http1_request.h"

namespace domicile::http {

class ServerConnection;

class Responder {
 public:
  // A piece of the decoded body; views hold during the call. May call pause_body().
  virtual void on_body(std::string_view bytes) = 0;
  virtual void on_body_end() = 0;
  virtual void on_drained() {}  // everything sent so far has left
  virtual void on_gone() = 0;   // the client is gone, or its body is faulty (and was answered so)

 protected:
  ~Responder() = default;
};

class Service {
 public:
  virtual ~Service() = default;
  // `head` and `path` hold during the call only. Null: the connection was answered already.
  virtual Responder* begin(ServerConnection& connection, const wire::RequestHead& head,
                           const wire::CleanPath& path) = 0;
  // The server has begun to drain: whatever would go on for ever must come to its end.
  virtual void drain() {}
};

}  // namespace domicile::http
