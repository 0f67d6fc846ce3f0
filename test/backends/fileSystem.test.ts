import { describe, it } from "@effect/vitest"
import * as FileSystem from "effect-caching/backends/FileSystem"
import { Conformance } from "effect-caching/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "file-system-test-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

Conformance.register(
  { describe, it },
  Layer.unwrapScoped(Effect.map(folder, (directory) => FileSystem.layer({ directory })))
)
