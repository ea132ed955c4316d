// A set of NATS subject filters with a value each, asked which of them match a subject: a tree of
// tokens, one level per token.
//
// The server keeps its subscriptions in one, the recorder its streams' filters in another. A match costs
// one look-up per token and wildcard branch, whatever the number of filters. The order of a match depends
// on the filters and the order in which they were added, never on addresses: literal before `*` before
// `>` at each level, values of one filter in the order of their insertion.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/assert.h"

namespace bascule::nats {

template <class Value>
class SubjectIndex {
 public:
  // `filter` is valid (model::valid_subject_filter). One value may be there under many filters, and more
  // than once under one.
  void insert(std::string_view filter, Value value) {
    Node* node = &root_;
    for (bool last = false; !last;) {
      const std::string_view token = take_token(filter, last);
      if (token == ">") {
        node->tail.push_back(std::move(value));
        ++size_;
        return;
      }
      node = &node->child(token);
    }
    node->here.push_back(std::move(value));
    ++size_;
  }

  // Removes one `value` under `filter`. False: there is none.
  bool remove(std::string_view filter, const Value& value) {
    if (!remove_from(root_, filter, value)) return false;
    --size_;
    return true;
  }

  // Calls `found(value)` for each filter that matches the literal, valid `subject`. `found` may not change
  // the index.
  template <class F>
  void match(std::string_view subject, F&& found) const {
    match_from(root_, subject, found);
  }

  // Calls `found(value)` for every value.
  template <class F>
  void for_each(F&& found) const {
    each_from(root_, found);
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> star;
    std::vector<Value> here;  // filters that end here
    std::vector<Value> tail;  // filters that end here with `>`

    Node& child(std::string_view token) {
      if (token == "*") {
        if (!star) star = std::make_unique<Node>();
        return *star;
      }
      auto it = literals.lower_bound(token);
      if (it == literals.end() || it->first != token)
        it = literals.emplace_hint(it, std::string(token), std::make_unique<Node>());
      return *it->second;
    }
    bool unused() const { return literals.empty() && !star && here.empty() && tail.empty(); }
  };

  // Takes the first token off `rest`; `last` when nothing is behind it.
  static std::string_view take_token(std::string_view& rest, bool& last) {
    const size_t dot = rest.find('.');
    const std::string_view token = rest.substr(0, dot);
    last = dot == std::string_view::npos;
    rest = last ? std::string_view{} : rest.substr(dot + 1);
    return token;
  }

  static bool erase_one(std::vector<Value>& values, const Value& value) {
    const auto it = std::ranges::find(values, value);
    if (it == values.end()) return false;
    values.erase(it);
    return true;
  }

  // Depth is bounded by the tokens of a subject: half of its greatest length.
  static bool remove_from(Node& node, std::string_view filter, const Value& value) {
    bool last = false;
    const std::string_view token = take_token(filter, last);
    if (token == ">") return erase_one(node.tail, value);
    const auto literal = token == "*" ? node.literals.end() : node.literals.find(token);
    Node* next = token == "*"                     ? node.star.get()
                 : literal != node.literals.end() ? literal->second.get()
                                                  : nullptr;
    if (next == nullptr) return false;
    if (!(last ? erase_one(next->here, value) : remove_from(*next, filter, value))) return false;
    if (next->unused()) {
      if (token == "*") {
        node.star.reset();
      } else {
        node.literals.erase(literal);
      }
    }
    return true;
  }

  template <class F>
  static void match_from(const Node& node, std::string_view subject, F& found) {
    bool last = false;
    const std::string_view token = take_token(subject, last);
    const auto literal = node.literals.find(token);
    if (literal != node.literals.end()) descend(*literal->second, subject, last, found);
    if (node.star) descend(*node.star, subject, last, found);
    for (const Value& value : node.tail) found(value);
  }

  template <class F>
  static void descend(const Node& node, std::string_view rest, bool last, F& found) {
    if (!last) return match_from(node, rest, found);
    for (const Value& value : node.here) found(value);
  }

  template <class F>
  static void each_from(const Node& node, F& found) {
    for (const auto& [token, child] : node.literals) each_from(*child, found);
    if (node.star) each_from(*node.star, found);
    for (const Value& value : node.here) found(value);
    for (const Value& value : node.tail) found(value);
  }

  Node root_;
  size_t size_ = 0;
};

}  // namespace bascule::nats
