import * as Memory from "effect-caching/backends/Memory"
import * as Null from "effect-caching/backends/Null"
import { describe, it } from "@effect/vitest"
import { Conformance } from "effect-caching/testing"
describe("values", () => Conformance.register({ describe, it }, Memory.layer()))
describe("bytes", () => Conformance.register({ describe, it }, Memory.layer({ storage: "bytes" })))
describe("null", () => Conformance.register({ describe, it }, Null.layer))
