#include "src/base/error.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "src/base/result.h"

namespace bascule {
namespace {

TEST(error, every_code_has_its_own_name_and_text) {
  std::set<std::string_view> names;
  for (const ErrcEntry* e = errc_entries_begin(); e != errc_entries_end(); ++e) {
    EXPECT_TRUE(names.insert(e->name).second) << e->name;
    EXPECT_FALSE(e->text.empty()) << e->name;
    EXPECT_EQ(&errc_entry(e->code), e);
  }
}

TEST(error, a_code_of_a_newer_peer_is_internal) {
  EXPECT_EQ(errc_entry(static_cast<Errc>(9999)).code, Errc::internal);
}

TEST(error, its_text_has_name_sentence_and_context) {
  const Error error{Errc::not_leader, "orders/3"};
  EXPECT_EQ(error.to_string(), "not_leader: it is led by another broker, or by none (orders/3)");
}

TEST(error, only_what_surely_did_not_happen_may_be_retried_blindly) {
  EXPECT_EQ(errc_retry(Errc::outcome_unknown), Retry::idempotent);
  EXPECT_EQ(errc_retry(Errc::connection_lost), Retry::idempotent);
  EXPECT_EQ(errc_retry(Errc::overloaded), Retry::later);
  EXPECT_EQ(errc_retry(Errc::not_leader), Retry::elsewhere);
  EXPECT_EQ(errc_retry(Errc::too_large), Retry::never);
}

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Errc::invalid, "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  BASCULE_TRY_ASSIGN(const int h, half(n));
  return half(h);
}

TEST(result, try_assign_passes_the_error_on) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().code, Errc::invalid);
  EXPECT_EQ(quarter(7).error().context, "odd");
}

}  // namespace
}  // namespace bascule
