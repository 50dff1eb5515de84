#include "wire/pgoutput.h"

#include <charconv>

#include <fmt/format.h>

namespace domicile::wire {
namespace {

// Reads big-endian fields off the front; once something was missing it stays failed and gives zeros.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename Number>
  Number number() {
    std::make_unsigned_t<Number> value = 0;
    if (rest_.size() < sizeof(Number)) {
      failed_ = true;
      rest_ = {};
      return 0;
    }
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      value = static_cast<std::make_unsigned_t<Number>>(value << 7 << 1 |
                                                        static_cast<unsigned char>(rest_[i]));
    }
    rest_.remove_prefix(sizeof(Number));
    return static_cast<Number>(value);
  }
  char letter() { return static_cast<char>(number<std::uint8_t>()); }
  std::string_view text() {
    const auto end = rest_.find('\0');
    if (end == std::string_view::npos) {
      failed_ = true;
      return {};
    }
    const auto found = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return found;
  }
  std::string_view bytes(std::int64_t length) {
    if (length < 0 || static_cast<std::uint64_t>(length) > rest_.size()) {
      failed_ = true;
      return {};
    }
    const auto found = rest_.substr(0, static_cast<std::size_t>(length));
    rest_.remove_prefix(found.size());
    return found;
  }
  void fail() { failed_ = true; }
  bool failed() const { return failed_; }
  bool whole() const {
    return !failed_ && rest_.empty();
  }  // everything was read, and all was there
  std::size_t left() const { return rest_.size(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

std::unexpected<Error> malformed(char type) {
  return fail(Code::invalid,
              fmt::format("a message of type {:#04x} of the replication stream is malformed",
                          static_cast<unsigned char>(type)),
              "pgoutput_malformed");
}

pgoutput::Tuple read_tuple(Reader& in) {
  pgoutput::Tuple tuple;
  const auto count = in.number<std::int16_t>();
  if (count < 0 || static_cast<std::size_t>(count) > in.left()) {
    in.fail();
    return tuple;
  }
  tuple.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count && !in.failed(); ++i) {
    using pgoutput::FieldKind;
    switch (in.letter()) {
      case 'n': tuple.push_back({FieldKind::null, {}}); break;
      case 'u': tuple.push_back({FieldKind::unchanged, {}}); break;
      case 't': tuple.push_back({FieldKind::text, in.bytes(in.number<std::int32_t>())}); break;
      case 'b': tuple.push_back({FieldKind::binary, in.bytes(in.number<std::int32_t>())}); break;
      default: in.fail();
    }
  }
  return tuple;
}

pgoutput::Relation read_relation(Reader& in) {
  pgoutput::Relation relation;
  relation.id = in.number<std::uint32_t>();
  relation.schema = in.text();
  relation.name = in.text();
  relation.identity = in.letter();
  const auto count = in.number<std::int16_t>();
  if (count < 0 || static_cast<std::size_t>(count) > in.left()) {
    in.fail();
    return relation;
  }
  for (int i = 0; i < count && !in.failed(); ++i) {
    pgoutput::Column column;
    column.key = (in.number<std::uint8_t>() & 1) != 0;
    column.name = in.text();
    column.type = in.number<std::uint32_t>();
    column.modifier = in.number<std::int32_t>();
    relation.columns.push_back(column);
  }
  return relation;
}

pgoutput::Update read_update(Reader& in) {
  pgoutput::Update update;
  update.relation = in.number<std::uint32_t>();
  char kind = in.letter();
  if (kind == 'K' || kind == 'O') {
    update.old_kind = kind;
    update.old = read_tuple(in);
    kind = in.letter();
  }
  if (kind != 'N') in.fail();
  update.row = read_tuple(in);
  return update;
}

pgoutput::Delete read_delete(Reader& in) {
  pgoutput::Delete removed;
  removed.relation = in.number<std::uint32_t>();
  removed.old_kind = in.letter();
  if (removed.old_kind != 'K' && removed.old_kind != 'O') in.fail();
  removed.old = read_tuple(in);
  return removed;
}

pgoutput::Truncate read_truncate(Reader& in) {
  pgoutput::Truncate truncate;
  const auto count = in.number<std::int32_t>();
  const auto options = in.number<std::uint8_t>();
  truncate.cascade = (options & 1) != 0;
  truncate.restart_identity = (options & 2) != 0;
  if (count < 0 || static_cast<std::size_t>(count) * sizeof(std::uint32_t) > in.left()) {
    in.fail();
    return truncate;
  }
  for (int i = 0; i < count; ++i) truncate.relations.push_back(in.number<std::uint32_t>());
  return truncate;
}

pgoutput::Message read_message(Reader& in) {
  pgoutput::Message message;
  message.transactional = (in.number<std::uint8_t>() & 1) != 0;
  message.at = in.number<std::uint64_t>();
  message.prefix = in.text();
  message.content = in.bytes(in.number<std::int32_t>());
  return message;
}

// Fields in braces are read in the order in which they stand.
pgoutput::AnyMessage read_any(char type, Reader& in) {
  switch (type) {
    case 'B':
      return pgoutput::Begin{in.number<std::uint64_t>(), in.number<std::int64_t>(),
                             in.number<std::uint32_t>()};
    case 'C':
      if (in.number<std::uint8_t>() != 0) in.fail();
      return pgoutput::Commit{in.number<std::uint64_t>(), in.number<std::uint64_t>(),
                              in.number<std::int64_t>()};
    case 'O': return pgoutput::Origin{in.number<std::uint64_t>(), in.text()};
    case 'R': return read_relation(in);
    case 'Y': return pgoutput::Type{in.number<std::uint32_t>(), in.text(), in.text()};
    case 'I': {
      pgoutput::Insert insert{in.number<std::uint32_t>(), {}};
      if (in.letter() != 'N') in.fail();
      insert.row = read_tuple(in);
      return insert;
    }
    case 'U': return read_update(in);
    case 'D': return read_delete(in);
    case 'T': return read_truncate(in);
    case 'M': return read_message(in);
    default: in.fail(); return pgoutput::Begin{};
  }
}

}  // namespace

std::string format_lsn(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xFFFFFFFFU); }

Result<Lsn> parse_lsn(std::string_view text) {
  const auto slash = text.find('/');
  std::uint32_t halves[2] = {0, 0};
  const std::string_view parts[2] = {text.substr(0, slash), slash == std::string_view::npos
                                                                ? std::string_view()
                                                                : text.substr(slash + 1)};
  for (int i = 0; i < 2; ++i) {
    const auto [end, error] = std::from_chars(parts[i].begin(), parts[i].end(), halves[i], 16);
    if (error != std::errc{} || end != parts[i].end()) {
      return fail(Code::invalid,
                  "not a position of the write-ahead log (two hexadecimal numbers and a slash)",
                  "lsn_malformed");
    }
  }
  return Lsn{halves[0]} << 32 | halves[1];
}

Result<pgoutput::AnyMessage> pgoutput::parse(std::string_view bytes) {
  if (bytes.empty()) return malformed(0);
  Reader in(bytes.substr(1));
  auto message = read_any(bytes[0], in);
  if (!in.whole()) return malformed(bytes[0]);
  return message;
}

Result<std::vector<std::uint32_t>> pgoutput::relations_of(std::string_view bytes) {
  if (bytes.empty()) return malformed(0);
  Reader in(bytes.substr(1));
  std::vector<std::uint32_t> relations;
  switch (bytes[0]) {
    case 'I':
    case 'U':
    case 'D': relations.push_back(in.number<std::uint32_t>()); break;
    case 'T': relations = read_truncate(in).relations; break;
    default: break;
  }
  if (in.failed()) return malformed(bytes[0]);
  return relations;
}

Result<replication::AnyCopyData> replication::parse(std::string_view bytes) {
  if (bytes.empty()) return malformed(0);
  Reader in(bytes.substr(1));
  if (bytes[0] == 'w') {
    Data data{in.number<std::uint64_t>(), in.number<std::uint64_t>(), {}};
    in.number<std::int64_t>();
    if (in.failed()) return malformed('w');
    data.message = in.bytes(static_cast<std::int64_t>(in.left()));
    return data;
  }
  if (bytes[0] == 'k') {
    Keepalive alive{in.number<std::uint64_t>(), false};
    in.number<std::int64_t>();
    alive.reply = in.number<std::uint8_t>() != 0;
    if (!in.whole()) return malformed('k');
    return alive;
  }
  return malformed(bytes[0]);
}

std::string replication::status_update(Lsn written, Lsn flushed, std::int64_t now_us) {
  std::string out = "r";
  for (const std::uint64_t value :
       {written, flushed, flushed, static_cast<std::uint64_t>(now_us)}) {
    for (int shift = 56; shift >= 0; shift -= 8)
      out.push_back(static_cast<char>(value >> shift & 0xFF));
  }
  out.push_back('\0');  // no answer wanted
  return out;
}

}  // namespace domicile::wire
