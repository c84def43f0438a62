// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/capabilities.h"

#include <nlohmann/json.hpp>

namespace memfail {
namespace {

using Json = nlohmann::ordered_json;

Json sandbox_json(const Options& options) {
  // Not shed(): the output goes to what was inherited. And not strict: its refusal would be
  // the only answer.
  sandbox::Sandbox sandbox(sandbox::Grade::kAuto, options.forbidden);
  if (!sandbox.enter() || !sandbox.seal(true)) return Json::object();
  Json in_force = Json::array();
  Json missing = Json::object();
  for (const sandbox::Layer& layer : sandbox.layers()) {
    if (layer.in_force) {
      in_force.push_back(layer.name);
    } else {
      missing[layer.name] = layer.why;
    }
  }
  return {{"grades", {"strict", "auto", "none"}}, {"layers", in_force}, {"missing", missing}};
}

}  // namespace

std::string capabilities(const Options& options) {
  const Json json{{"type", "memory-failure"},
                  {"features", Json::array()},
                  {"protocol", {{"min", 1}, {"max", 1}}},
                  {"policies", {"recommended", "qemu"}},
                  {"sandbox", sandbox_json(options)},
                  {"version", MEMFAIL_VERSION}};
  return json.dump(2) + "\n";
}

}  // namespace memfail
