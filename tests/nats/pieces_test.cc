// The small parts: JSON, header blocks, CONNECT, answers, output.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "src/nats/answers.h"
#include "src/nats/connect_options.h"
#include "src/nats/headers.h"
#include "src/nats/json.h"
#include "src/nats/output.h"

namespace bascule::nats {
namespace {

TEST(nats_json, reads_the_members_of_one_object_and_passes_over_what_is_nested) {
  std::vector<JsonMember> m;
  ASSERT_TRUE(parse_json_object(
      R"( {"a":"x\n\u00e4\ud83d\ude00\/","b":true,"c":-1.5e3,"d":null,"e":{"a":[1,{"b":2}]},"f":[]} )",
      m));
  ASSERT_EQ(m.size(), 6u);
  EXPECT_EQ(m[0].text, "x\n\xc3\xa4\xf0\x9f\x98\x80/");
  EXPECT_TRUE(m[1].boolean);
  EXPECT_EQ(m[2].text, "-1.5e3");
  EXPECT_EQ(m[3].kind, JsonMember::Kind::null);
  EXPECT_EQ(m[4].kind, JsonMember::Kind::nested);
  EXPECT_EQ(m[5].name, "f");
}

TEST(nats_json, refuses_what_is_not_one_object) {
  std::vector<JsonMember> m;
  for (const char* text :
       {"", "{", "[]", "{}x", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":tru}",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\n\"}", "{\"a\":01x}", "{\"a\":[1}"})
    EXPECT_FALSE(parse_json_object(text, m)) << text;
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_FALSE(parse_json_object(deep, m));
}

RC_GTEST_PROP(nats_json, what_the_writer_writes_is_read_back,
              (const std::string& name, const std::string& value)) {
  std::vector<JsonMember> m;
  RC_ASSERT(parse_json_object(
      JsonWriter().string(name, value).number("n", 7).boolean("b", true).finish(), m));
  RC_ASSERT(m.size() == 3u);
  RC_ASSERT(m[0].name == name);
  RC_ASSERT(m[0].text == value);
}

RC_GTEST_PROP(nats_json, damaged_text_never_does_harm, ()) {
  std::string text = R"({"a":"x\u00e4","b":[true,{"c":1.5}],"d":null})";
  for (int i = 0; i < 3; ++i)
    text[*rc::gen::inRange<size_t>(0, text.size())] =
        *rc::gen::element('"', '{', '}', '[', '\\', 'u', ',', '\0');
  std::vector<JsonMember> m;
  (void)parse_json_object(text.substr(0, *rc::gen::inRange<size_t>(0, text.size() + 1)), m);
  RC_ASSERT(m.size() <= 8u);
}

TEST(nats_connect, reads_what_clients_say_and_keeps_defaults_for_the_rest) {
  const auto c = parse_connect_options(
      R"({"verbose":false,"echo":false,"headers":true,"no_responders":true,"user":"u","pass":"p",)"
      R"("auth_token":"t","name":"n","lang":"c","version":"3","protocol":1,"tls_required":false,"x":{}})");
  ASSERT_TRUE(c);
  EXPECT_FALSE(c->verbose);
  EXPECT_TRUE(c->pedantic);
  EXPECT_FALSE(c->echo);
  EXPECT_TRUE(c->headers);
  EXPECT_TRUE(c->no_responders);
  EXPECT_EQ(c->user + c->password + c->auth_token + c->name + c->lang + c->version, "uptnc3");
  EXPECT_FALSE(parse_connect_options("nonsense"));
}

TEST(nats_headers, blocks_become_pairs_and_a_status_becomes_two_headers) {
  std::vector<model::HeaderView> h;
  parse_headers(as_bytes("NATS/1.0 503 No Responders\r\nA: 1\r\na:  x y \r\nB:\r\nodd\r\n\r\n"), h);
  EXPECT_EQ(h, (std::vector<model::HeaderView>{{"Status", "503"},
                                               {"Description", "No Responders"},
                                               {"A", "1"},
                                               {"a", "x y"},
                                               {"B", ""},
                                               {"odd", ""}}));
  EXPECT_EQ(header_value(h, "a"), "x y");
  EXPECT_EQ(header_value(h, "c"), "");
  parse_headers(as_bytes(""), h);
  EXPECT_TRUE(h.empty());
}

TEST(nats_answers, acks_and_errors_are_jetstreams_json) {
  EXPECT_EQ(ack_json("S", Offset(0), false), R"({"stream":"S","seq":1})");
  EXPECT_EQ(ack_json("S", Offset(41), true), R"({"stream":"S","seq":42,"duplicate":true})");
  EXPECT_EQ(error_json("S", Error{Errc::too_large, "x"}),
            R"({"error":{"code":400,"err_code":10054,"description":"too_large: )" +
                std::string(errc_entry(Errc::too_large).text) +
                " (x)\"},\"stream\":\"S\",\"seq\":0}");
}

RC_GTEST_PROP(nats_output, pieces_are_the_bytes_that_were_appended_in_their_order, ()) {
  Output out;
  std::string expected;
  const int appends = *rc::gen::inRange(0, 40);
  for (int i = 0; i < appends; ++i) {
    const std::string bytes(*rc::gen::inRange<size_t>(0, 5000), static_cast<char>('a' + i % 26));
    if (*rc::gen::inRange(0, 3) == 0) {
      const BufferRef shared = BufferRef::copy_of(as_bytes(bytes));
      out.append_shared(shared, shared.view());
    } else if (bytes.size() <= Output::k_claim_bytes_max && i % 2 == 0) {
      std::copy(bytes.begin(), bytes.end(), out.claim(bytes.size()));
      out.commit(bytes.size());
    } else {
      out.append(bytes);
    }
    expected += bytes;
    RC_ASSERT(out.bytes() == expected.size());
    if (*rc::gen::inRange(0, 8) == 0) {
      std::string got;
      for (const Slice& piece : out.take()) got += as_text(piece);
      RC_ASSERT(got == expected);
      expected.clear();
    }
  }
  std::string got;
  for (const Slice& piece : out.take()) got += as_text(piece);
  RC_ASSERT(got == expected);
  RC_ASSERT(out.empty());
}

}  // namespace
}  // namespace bascule::nats
