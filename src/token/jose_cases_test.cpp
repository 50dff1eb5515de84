// tests/jose/tokens.tsv: what RFC 7515, 7797, 7519, 8725 and 8259 ask for, section by section, and the
// known attacks on JWTs, each a token that is made here as the case says and shown to the verifier.
#include <charconv>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "base/file.h"
#include "crypto/hmac.h"
#include "token/testing.h"
#include "token/token_error.h"

namespace domicile::token {
namespace {

using namespace testing;
using crypto::Algorithm;

struct Case {
  std::string section, name, expected, header, claims, form;
};

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> out;
  for (;;) {
    const auto end = text.find(by);
    out.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

std::string expand(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.starts_with("\\x")) {
      unsigned byte = 0;
      std::from_chars(text.data() + 2, text.data() + 4, byte, 16);
      out.push_back(static_cast<char>(byte));
      text.remove_prefix(4);
    } else if (text.starts_with("repeat(")) {
      std::size_t times = 0;
      const auto comma = text.find(',');
      std::from_chars(text.data() + 7, text.data() + comma, times);
      const auto end = text.find(')', comma + 2);  // what is repeated may be ')' or ','
      const auto what = text.substr(comma + 1, end - comma - 1);
      for (; times > 0; --times) out += what;
      text.remove_prefix(end + 1);
    } else {
      out.push_back(text.front());
      text.remove_prefix(1);
    }
  }
  return out;
}

std::vector<Case> cases() {
  const auto file = std::filesystem::path(__FILE__).parent_path() / "../../tests/jose/tokens.tsv";
  std::vector<Case> out;
  for (const std::string& line : split(read_file(file).value(), '\n')) {
    if (line.empty()) continue;
    const auto columns = split(line, '\t');
    EXPECT_EQ(columns.size(), 6u) << line;
    out.push_back({columns.at(0), columns.at(1), columns.at(2), expand(columns.at(3)),
                   expand(columns.at(4)), expand(columns.at(5))});
  }
  return out;
}

std::string claims_of(const std::string& recipe) {
  std::string claims = payload();
  const auto behind = [&](std::string_view word) { return recipe.substr(word.size()); };
  if (recipe.empty()) return claims;
  if (recipe.starts_with('=')) return behind("=");
  if (recipe.starts_with("append:")) return claims + behind("append:");
  if (recipe.starts_with("prepend:")) return behind("prepend:") + claims;
  if (recipe.starts_with("append-inside:")) {
    return claims.insert(claims.size() - 1, behind("append-inside:"));
  }
  if (recipe == "utf16") {
    std::string wide = "\xff\xfe";
    for (const char c : claims) wide.append({c, '\0'});
    return wide;
  }
  if (recipe == "many-members") {
    std::string many;
    for (int i = 0; i < 300; ++i) many += "\"a" + std::to_string(i) + "\":0,";
    return claims.insert(1, many);
  }
  if (const auto arrow = recipe.find(" => "); arrow != std::string::npos)
    return payload(recipe.substr(0, arrow), recipe.substr(arrow + 4));
  return claims.insert(1, recipe);
}

const crypto::SigningKey& key_named(std::string_view name) {
  static const auto other = crypto::SigningKey::generate(Algorithm::es256).value();
  static const auto us = crypto::SigningKey::generate(Algorithm::es256).value();
  static const auto pss =
      crypto::SigningKey::from_der(Algorithm::ps256, shared_key(Algorithm::rs256).to_der()).value();
  if (name == "other") return other;
  if (name == "us") return us;
  if (name == "rs-as-ps256") return pss;
  return shared_key(name == "ed"   ? Algorithm::eddsa
                    : name == "rs" ? Algorithm::rs256
                                   : Algorithm::es256);
}

// One integer of an ECDSA signature in DER.
std::string der_integer(std::string bytes) {
  bytes.erase(0, std::min(bytes.find_first_not_of('\0'), bytes.size() - 1));
  if ((bytes.front() & '\x80') != 0) bytes.insert(0, 1, '\0');
  return "\x02" + std::string(1, static_cast<char>(bytes.size())) + bytes;
}

std::string signature_of(std::string_view how, const std::string& input,
                         const crypto::SigningKey& key) {
  std::string good = key.sign(input).value();
  const std::string r = good.substr(0, 32), s = good.substr(good.size() - 32);
  const std::string order =  // of P-256: FIPS 186-5
      from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
  const auto hmac = [&](std::string secret) {
    return std::string(crypto::view(crypto::HmacSha256(Secret(std::move(secret))).mac(input)));
  };
  const auto& public_key = shared_key(Algorithm::rs256).public_key();
  if (how == "none") return "";
  if (how == "zero") return std::string(good.size(), '\0');
  if (how == "ff") return std::string(good.size(), '\xff');
  if (how == "r0") return std::string(32, '\0') + s;
  if (how == "s0") return r + std::string(32, '\0');
  if (how == "rn") return order + s;
  if (how == "swapped") return s + r;
  if (how == "longer") return good + '\0';
  if (how == "shorter") return good.substr(0, good.size() - 1);
  if (how == "hmac-pem") return hmac(public_key->to_pem());
  if (how == "hmac-jwk") return hmac(jwk_json({"rs", public_key}));
  if (how == "der") {
    const std::string body = der_integer(r) + der_integer(s);
    return "\x30" + std::string(1, static_cast<char>(body.size())) + body;
  }
  ADD_FAILURE() << "no such signature: " << how;
  return good;
}

struct Token {
  std::string header, claims, signature;  // base64url
  std::string compact;
};

// A step that works on the parts. False: not one of these.
bool change_part(Token& token, const std::vector<std::string>& words) {
  const auto part = [&]() -> std::string& {
    return words.at(1) == "header"    ? token.header
           : words.at(1) == "payload" ? token.claims
                                      : token.signature;
  };
  if (words[0] == "put") {
    part()[5] = words.at(2).at(0);
  } else if (words[0] == "put-behind") {
    while (part().size() % 4 != 1) part() += words.at(2);
  } else if (words[0] == "pad") {
    do part() += '=';
    while (part().size() % 4 != 0);
  } else if (words[0] == "replace-payload") {
    token.claims = to_base64url(payload("\"7\"", "\"8\""));
  } else if (words[0] == "replace-header") {
    token.header = to_base64url(std::string(kHeader) + ' ');
  } else if (words[0] == "detached") {
    token.claims.clear();
  } else if (words[0] == "twin") {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    token.signature.back() = digits[digits.find(token.signature.back()) + 1];
  } else {
    return false;
  }
  return true;
}

bool change_whole(Token& token, const std::vector<std::string>& words) {
  const auto& [header, claims, signature, compact] = token;
  const auto quoted = [](const std::string& text) { return '"' + text + '"'; };
  if (words[0] == "append") {
    token.compact += words.at(1);
  } else if (words[0] == "prepend") {
    token.compact.insert(0, words.at(1));
  } else if (words[0] == "cut") {
    for (int left = std::stoi(words.at(1)); left > 0; --left)
      token.compact.resize(token.compact.rfind('.'));
  } else if (words[0] == "jwe") {
    token.compact = to_base64url(R"({"alg":"dir","enc":"A128GCM"})") + "..AAAA.AAAA.AAAA";
  } else if (words[0] == "json") {
    token.compact = "{\"payload\":" + quoted(claims) +
                    ",\"signatures\":[{\"protected\":" + quoted(header) +
                    ",\"signature\":" + quoted(signature) + "}]}";
  } else if (words[0] == "flattened") {
    token.compact = "{\"payload\":" + quoted(claims) + ",\"protected\":" + quoted(header) +
                    ",\"signature\":" + quoted(signature) + "}";
  } else {
    return false;
  }
  return true;
}

std::string token_of(const Case& each, std::int64_t& now_s) {
  const std::vector<std::string> steps =
      each.form.empty() ? std::vector<std::string>() : split(each.form, ';');
  const crypto::SigningKey* key = &key_named("es");
  std::string how;
  bool payload_only = false;
  for (const std::string& step : steps) {
    if (step.starts_with("key:")) key = &key_named(step.substr(4));
    if (step.starts_with("sign:")) how = step.substr(5);
    if (step.starts_with("now:")) now_s += std::stoi(step.substr(4));
    payload_only = payload_only || step == "sign-payload-only";
  }
  if (how == "zero" && each.header.find("RS256") != std::string::npos) key = &key_named("rs");
  Token token{.header = to_base64url(each.header.empty() ? kHeader : each.header),
              .claims = to_base64url(claims_of(each.claims))};
  const std::string input = payload_only ? token.claims : token.header + '.' + token.claims;
  token.signature =
      to_base64url(how.empty() ? key->sign(input).value() : signature_of(how, input, *key));
  for (const std::string& step : steps) (void)change_part(token, split(step, ':'));
  token.compact = token.header + '.' + token.claims + '.' + token.signature;
  for (const std::string& step : steps) {
    const auto words = split(step, ':');
    static const std::set<std::string> before = {"key", "sign", "now", "sign-payload-only"};
    Token scratch = token;
    if (!before.contains(words[0]) && !change_whole(token, words))
      EXPECT_TRUE(change_part(scratch, words)) << "no such step: " << step;
  }
  return token.compact;
}

TEST(JoseCases, EachTokenIsAcceptedOrRefusedForTheReasonThatItsSectionGives) {
  TokenVerifier verifier({}, {{"https://ca.test", domain::RegionId("ca-central-1"), key_set()},
                              {"https://us.test", domain::RegionId("us-east-1"),
                               KeySet::create({{"es", key_named("us").public_key()}}).value()}});
  std::size_t accepted = 0, refused = 0;
  for (const Case& each : cases()) {
    std::int64_t now_s = kNow;
    const std::string token = token_of(each, now_s);
    const auto principal = verifier.verify(token, now_s);
    const std::string outcome = principal ? "accepted" : principal.error().reason;
    EXPECT_EQ(outcome, each.expected == "accepted" ? each.expected : "token_" + each.expected)
        << each.section << ": " << each.name << (principal ? "" : "\n" + principal.error().message);
    if (!principal) EXPECT_EQ(principal.error().code, Code::unauthenticated) << each.name;
    ++(principal ? accepted : refused);
  }
  EXPECT_GE(refused, 190u);
  EXPECT_GE(accepted, 15u);
}

TEST(JoseCases, EverySectionThatStatesARequirementOnATokenHasOne) {
  std::set<std::string> covered;
  for (const Case& each : cases()) covered.insert(each.section);
  for (const char* section :
       {"RFC 7515 2",     "RFC 7515 3.1",   "RFC 7515 3.2",   "RFC 7515 4",      "RFC 7515 4.1.1",
        "RFC 7515 4.1.2", "RFC 7515 4.1.3", "RFC 7515 4.1.4", "RFC 7515 4.1.5",  "RFC 7515 4.1.6",
        "RFC 7515 4.1.7", "RFC 7515 4.1.8", "RFC 7515 4.1.9", "RFC 7515 4.1.10", "RFC 7515 4.1.11",
        "RFC 7515 4.2",   "RFC 7515 4.3",   "RFC 7515 5.2",   "RFC 7515 6",      "RFC 7515 7.1",
        "RFC 7515 7.2",   "RFC 7515 9",     "RFC 7515 10.4",  "RFC 7515 10.7",   "RFC 7515 10.12",
        "RFC 7515 10.13", "RFC 7515 C",     "RFC 7515 F",     "RFC 7797 3",      "RFC 7519 2",
        "RFC 7519 3",     "RFC 7519 4",     "RFC 7519 4.1.1", "RFC 7519 4.1.2",  "RFC 7519 4.1.3",
        "RFC 7519 4.1.4", "RFC 7519 4.1.5", "RFC 7519 4.1.6", "RFC 7519 4.1.7",  "RFC 7519 5.1",
        "RFC 7519 5.2",   "RFC 7519 5.3",   "RFC 7519 6",     "RFC 7519 7.2",    "RFC 7519 7.3",
        "RFC 7519 8",     "RFC 7519 11.1",  "RFC 8725 3.1",   "RFC 8725 3.2",    "RFC 8725 3.3",
        "RFC 8725 3.4",   "RFC 8725 3.6",   "RFC 8725 3.7",   "RFC 8725 3.8",    "RFC 8725 3.9",
        "RFC 8725 3.10",  "RFC 8725 3.11",  "RFC 8725 3.12"}) {
    EXPECT_TRUE(covered.contains(section)) << section;
  }
}

}  // namespace
}  // namespace domicile::token
