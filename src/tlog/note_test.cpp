#include "tlog/note.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "tlog/checkpoint.h"
#include "tlog/text.h"

namespace domicile::tlog {
namespace {

NoteSigner signer(std::string name = "ca.example.com/log") {
  return NoteSigner::create(std::move(name),
                            crypto::SigningKey::generate(crypto::Algorithm::eddsa).value())
      .value();
}

std::string note_of(const std::string& text, std::initializer_list<const NoteSigner*> signers) {
  std::string out = text + "\n";
  for (const auto* s : signers) out += s->sign_line(text).value();
  return out;
}

TEST(Note, OneChangedByteOfTextOrSignatureIsRefused) {
  const auto s = signer();
  const std::string text = "first\n\nthird, ünïcode\n";
  const std::string content = note_of(text, {&s});
  ASSERT_TRUE(verify_note(parse_note(content).value(), {&s.key(), 1}));
  for (std::size_t at = 0; at < content.size(); ++at) {
    for (int flip : {0x01, 0x20, 0x80}) {
      std::string changed = content;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      const auto note = parse_note(changed);
      EXPECT_FALSE(note && verify_note(*note, {&s.key(), 1})) << at << " ^ " << flip;
    }
  }
}

TEST(Note, UnknownKeysAreIgnoredAndAKnownOneThatFailsRejects) {
  const auto a = signer(), b = signer(), other = signer("elsewhere");
  const std::string text = "text\n";
  const std::vector<NoteKey> keys = {a.key(), b.key()};
  const auto signers = [&](const std::string& content) {
    return verify_note(parse_note(content).value(), keys);
  };
  EXPECT_EQ(signers(note_of(text, {&other, &b})).value(), std::vector<std::size_t>{1});
  EXPECT_EQ(signers(note_of(text, {&b, &a, &a})).value(), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(signers(note_of(text, {&other})).error().reason, "signature_unknown");
  const std::string forged = note_of(text, {&a}) + b.sign_line("another text\n").value();
  EXPECT_EQ(signers(forged).error().reason, "signature_invalid");
  // The same name with another key is another key.
  EXPECT_EQ(verify_note(parse_note(note_of(text, {&a})).value(), {&b.key(), 1}).error().reason,
            "signature_unknown");
}

TEST(Note, WhatIsNotANoteIsRefused) {
  const auto s = signer();
  const std::string line = s.sign_line("t\n").value();
  const std::string dash = "\xe2\x80\x94 ";
  for (const auto& bad : std::vector<std::string>{
           "", "t\n", "t\n" + line, "t\n\n", "t\n\n" + line + "\n",
           "t\n\n" + line.substr(0, line.size() - 1), "t\n\n" + line + "x\n", "t\r\n\n" + line,
           "t\x01\n\n" + line, "t\xff\n\n" + line, "t\xc0\xaf\n\n" + line,
           "t\xed\xa0\x80\n\n" + line, "t\n\n- a AAAAAAAA\n", "t\n\n" + dash + "a+b AAAAAAAA\n",
           "t\n\n" + dash + " AAAAAAAA\n", "t\n\n" + dash + "a AAAAAA==\n",
           "t\n\n" + dash + "a AAAAAAA\n", "t\n\n" + dash + "a\xc2\xa0z AAAAAAAA\n",
           "t\n\n" + dash + "a  AAAAAAAA\n"}) {
    EXPECT_FALSE(parse_note(bad)) << bad;
  }
  EXPECT_TRUE(parse_note("t\n\n" + line));
  EXPECT_TRUE(parse_note("\n\n" + line));
  std::string many = "t\n\n";
  for (int i = 0; i < 100; ++i) many += line;
  EXPECT_TRUE(parse_note(many));
  EXPECT_FALSE(parse_note(many + line));
}

TEST(NoteKey, AnIdThatIsNotTheKeysOrAnUnknownTypeIsRefused) {
  const std::string good = signer().verifier_key();
  ASSERT_TRUE(NoteKey::parse(good));
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = changed[at] == 'q' ? 'r' : 'q';
    EXPECT_FALSE(NoteKey::parse(changed)) << changed;
  }
  const std::string key(32, 'k');
  const std::string mldsa = "w+00000000+" + to_base64("\x06" + key);
  EXPECT_NE(NoteKey::parse(mldsa).error().message.find("0x06"), std::string::npos);
  EXPECT_FALSE(NoteKey::parse(""));
  EXPECT_FALSE(NoteKey::parse("name"));
  EXPECT_FALSE(NoteKey::parse("name+0123"));
  EXPECT_FALSE(
      NoteSigner::create("a name", crypto::SigningKey::generate(crypto::Algorithm::eddsa).value()));
  EXPECT_FALSE(
      NoteSigner::create("name", crypto::SigningKey::generate(crypto::Algorithm::es256).value()));
}

TEST(NoteKey, AListOfThemNamesTheLineThatIsWrong) {
  const std::string good = signer().verifier_key();
  EXPECT_EQ(parse_key_list("# logs\n\n" + good + "\n" + good).value().size(), 2u);
  EXPECT_NE(parse_key_list("# logs\n" + good + "\nnonsense\n").error().message.find("line 3"),
            std::string::npos);
}

TEST(Checkpoint, IsReadAsItIsWritten) {
  const Checkpoint c{"example.com/behind-the-sofa", 20'852'163, crypto::sha256("root"), {"more"}};
  const auto again = parse_checkpoint(checkpoint_text(c)).value();
  EXPECT_EQ(again.origin, c.origin);
  EXPECT_EQ(again.size, c.size);
  EXPECT_EQ(again.root, c.root);
  EXPECT_EQ(again.extensions, c.extensions);
}

TEST(Checkpoint, HasOneWayToBeWritten) {
  const std::string root = hash_text(crypto::sha256("root"));
  EXPECT_TRUE(parse_checkpoint("o\n0\n" + root + "\n"));
  EXPECT_TRUE(parse_checkpoint("o\n18446744073709551615\n" + root + "\n"));
  for (const auto& bad : std::vector<std::string>{
           "", "o\n", "o\n1\n", "\n1\n" + root + "\n", "o\n01\n" + root + "\n",
           "o\n+1\n" + root + "\n", "o\n-1\n" + root + "\n", "o\n1 \n" + root + "\n",
           "o\n18446744073709551616\n" + root + "\n", "o\n1\n" + root, "o\n1\n" + root + "\n\n",
           "o\n1\n" + root.substr(4) + "\n", "o\n1\n" + root + "\nextension"}) {
    EXPECT_FALSE(parse_checkpoint(bad)) << bad;
  }
}

TEST(Checkpoint, IsBelievedOnlyFromAKeyOfItsOwnOrigin) {
  const auto log = signer(), other = signer("another/log");
  const std::vector<NoteKey> keys = {other.key(), log.key()};
  const std::string text = checkpoint_text({log.name(), 1, crypto::sha256("a")});
  const auto opened = open_checkpoint(note_of(text, {&log}), keys).value();
  EXPECT_EQ(opened.checkpoint.size, 1u);
  EXPECT_EQ(opened.signers, std::vector<std::size_t>{1});
  EXPECT_EQ(open_checkpoint(note_of(text, {&other}), keys).error().code, Code::denied);
  EXPECT_EQ(open_checkpoint(note_of("text\n", {&log}), keys).error().code, Code::invalid);
}

}  // namespace
}  // namespace domicile::tlog
