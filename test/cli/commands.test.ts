import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Memory from "effect-caching/backends/Memory"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisBus from "effect-caching/backends/RedisBus"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Uwsgi from "effect-caching/backends/Uwsgi"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Memoize from "effect-caching/Memoize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { vi } from "vitest"
import * as MemcachedServer from "../support/memcachedServer.js"
import * as RedisServer from "../support/redisServer.js"
import * as UwsgiServer from "../support/uwsgiServer.js"
import { assertDiscreet, build, type Ended, run, type RunOptions } from "./support.js"

// Each test starts several processes.
vi.setConfig({ testTimeout: 60_000 })

const password = "p@ss:w/rd"
const main = build("commands")
const folder = mkdtempSync(join(tmpdir(), "effect-caching-cli-"))
const scope = Effect.runSync(Scope.make())
let redis: RedisServer.RedisServer
let memcached: MemcachedServer.MemcachedServer

beforeAll(async () => {
  redis = await Effect.runPromise(Scope.extend(RedisServer.make({ password }), scope))
  memcached = await Effect.runPromise(Scope.extend(MemcachedServer.make(), scope))
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(folder, { recursive: true, force: true })
})

const User = Schema.Struct({ id: Schema.Number, name: Schema.String })
const users = Cache.make({
  name: "users",
  schema: User,
  key: (id: number) => id,
  timeToLive: "1 hour",
  grace: "1 hour",
  tags: (user) => [`user:${user.id}`, "users"]
})
const logos = Cache.make({ name: "logos", codec: Codec.bytes, timeToLive: Duration.infinity })
const texts = Cache.make({ name: "a%:~{b}", version: "2", codec: Codec.string, timeToLive: "1 hour" })
const sums = Memoize.wrap((a: number, b: string) => Effect.succeed(`${a}${b}`), {
  name: "sums",
  codec: Codec.string,
  timeToLive: "1 hour"
})

const seed = Effect.gen(function*() {
  yield* Cache.set(users, 1, { id: 1, name: "Ada" })
  yield* Cache.set(users, 2, { id: 2, name: "Grace" })
  yield* Cache.set(logos, "small", Uint8Array.of(0, 255, 65))
  yield* Cache.set(texts, { in: ["x"] }, "line\n\u001b[31mred")
  yield* sums(1, "b")
})

/** The command, of which the first word is none of the store. Nothing it prints may have the password. */
const command = (args: ReadonlyArray<string>, options?: RunOptions) =>
  Effect.tap(run(main, args, options), (ended) => assertDiscreet(ended, password))

const json = ({ stdout }: Ended) => JSON.parse(stdout)

const stores: ReadonlyArray<
  readonly [name: string, url: () => string, layer: () => Layer.Layer<CacheBackend, unknown>, lists: boolean]
> = [
  ["Redis", () => redis.url, () => Redis.layer({ url: redis.url }), true],
  [
    "Memcached",
    () => `memcached://${memcached.address}`,
    () => Memcached.layer({ servers: [memcached.address] }),
    false
  ],
  ["FileSystem", () => `file://${folder}`, () => FileSystem.layer({ directory: folder }), true]
]

describe("effect-caching", () => {
  for (const [name, url, layer, lists] of stores) {
    describe(name, () => {
      const ask = (...args: ReadonlyArray<string>) => {
        const [word, ...rest] = args
        return command([word!, "--url", url(), ...rest])
      }
      const stored = <A, E>(effect: Effect.Effect<A, E, CacheBackend>) => Effect.provide(effect, layer())

      it.live("ping says that the store answers", () =>
        Effect.gen(function*() {
          const ended = yield* ask("ping")
          assert.strictEqual(ended.code, 0)
          assert.match(ended.stdout, /^\w+ answers, in [\d.]+ ms\n$/)
          assert.isAbove(json(yield* ask("ping", "--json")).millis, 0)
        }))

      it.live("get finds what Cache and Memoize have stored, by name and arguments or by key", () =>
        Effect.gen(function*() {
          yield* stored(seed)
          const text = yield* ask("get", "--name", "users", "1")
          assert.strictEqual(text.code, 0)
          assert.match(
            text.stdout,
            /^key +users:1;\nbackend +\w+\nstate +fresh\nloaded +\S+ \(.* ago\), which took 0 ms\n/
          )
          assert.match(text.stdout, /\ntags +user:1, users\n/)
          assert.match(text.stdout, /\n\n\{\n {2}"id": 1,\n {2}"name": "Ada"\n\}\n$/)
          const found = json(yield* ask("get", "--name", "users", "--json", "2"))
          assert.deepInclude(found, { key: "users:2;", state: "fresh", bytes: 23, isFailure: false })
          assert.deepStrictEqual(found.value, { form: "json", data: { id: 2, name: "Grace" } })
          assert.strictEqual(found.freshUntil - found.loadedAt, 3_600_000)
          const byKey = yield* ask("get", "--key", Cache.cacheKey(texts, { in: ["x"] }), "--raw")
          assert.strictEqual(byKey.stdout, "line\n\u001b[31mred")
          const byArguments = ["--name", "a%:~{b}", "--key-version", "2", "{\"in\":[\"x\"]}"]
          // What a terminal would obey is not printed.
          assert.match((yield* ask("get", ...byArguments)).stdout, /\n\nline\n\\u\{1b\}\[31mred\n$/)
          assert.strictEqual(json(yield* ask("get", "--name", "sums", "--json", "1", "b")).value.data, "1b")
          assert.match((yield* ask("get", "--name", "logos", "small")).stdout, /\n00000000 {2}00 ff 41 +\|\.\.A\|\n$/)
          const bytes = json(yield* ask("get", "--name", "logos", "--json", "small"))
          assert.deepStrictEqual(bytes.value, { form: "base64", data: "AP9B" })
          assert.isNull(bytes.freshUntil)
        }))

      it.live("get and has exit with 1 where nothing is stored", () =>
        Effect.gen(function*() {
          const missing = yield* ask("get", "--name", "users", "404")
          assert.deepInclude(missing, { code: 1, stdout: "nothing is stored under users:404;\n", stderr: "" })
          assert.strictEqual(json(yield* ask("get", "--name", "users", "--json", "404")).state, "absent")
          assert.deepInclude(yield* ask("has", "--name", "users", "404"), { code: 1, stdout: "no: absent\n" })
        }))

      it.live("invalidate ends what depends on a tag, softly or not, and explain says so", () =>
        Effect.gen(function*() {
          yield* stored(seed)
          assert.deepInclude(yield* ask("has", "--name", "users", "1"), { code: 0, stdout: "yes\n" })
          const soft = yield* ask("invalidate", "--soft", "--tag", "user:1")
          assert.deepInclude(soft, { code: 0, stdout: "made stale what depends on user:1\n" })
          const stale = yield* ask("explain", "--name", "users", "1")
          assert.match(
            stale.stdout,
            /^a call would be +answered stale\nbecause +made stale by user:1\n +its time to live ends/
          )
          const hard = yield* ask("invalidate", "--json", "--tag", "users", "--tag", "user:1")
          assert.deepInclude(json(hard), { tags: ["users", "user:1"], mode: "hard" })
          const miss = json(yield* ask("explain", "--json", "--name", "users", "2"))
          assert.deepInclude(miss, { answer: "miss", state: "invalidated" })
          assert.strictEqual(miss.why[0], "invalidated by users")
          assert.deepInclude(yield* ask("has", "--name", "users", "2"), { code: 1, stdout: "no: invalidated\n" })
          assert.strictEqual((yield* stored(Cache.lookup(users, 2)))._tag, "Miss")
        }))

      it.live("delete removes an entry, and what another process is loading for it is not stored", () =>
        Effect.gen(function*() {
          yield* stored(seed)
          const asked = yield* stored(Effect.scoped(Effect.gen(function*() {
            const deleting = ask("delete", "--name", "users", "1")
            const loaded = yield* Cache.refresh(users, 1, Effect.as(Effect.orDie(deleting), { id: 1, name: "Old" }))
            assert.strictEqual(loaded.name, "Old")
            return yield* Cache.get(users, 1)
          })))
          assert.strictEqual(asked._tag, "None")
          const again = yield* ask("delete", "--json", "--name", "users", "1")
          assert.deepStrictEqual([again.code, json(again)], [0, { key: "users:1;", deleted: false }])
        }))

      it.live("stats tells entries by cache, or that the store cannot, and of its servers", () =>
        Effect.gen(function*() {
          yield* command(["clear", "--url", url(), "--all", "--yes"])
          yield* stored(seed)
          const found = json(yield* ask("stats", "--json"))
          const { stdout } = yield* ask("stats")
          if (lists) {
            const names = found.caches.map((part: { name: string; entries: number }) => [part.name, part.entries])
            assert.deepStrictEqual(names, [["a%:~{b}", 1], ["logos", 1], ["sums", 1], ["users", 2]])
            assert.match(stdout, /^cache +entries +size\na%:~\{b\} +1 +\d+ B\n/)
            assert.match(stdout, /\nall +5 +\d+ B\n/)
            const part = json(yield* ask("stats", "--json", "--name", "users"))
            assert.strictEqual(part.caches.length, 1)
          } else {
            assert.isNull(found.caches)
            assert.match(stdout, /^Of which caches the entries are, a \w+ backend cannot tell\.\n/)
          }
          if (name === "FileSystem") assert.include(stdout, `\n\nin ${folder}\n`)
          else {
            assert.isAbove(found.servers[0].entries, 4)
            assert.match(stdout, /\nserver +version +up for +items +memory/)
          }
        }))

      it.live("clear asks on a terminal, and does what it is told", () =>
        Effect.gen(function*() {
          yield* command(["clear", "--url", url(), "--all", "--yes"])
          yield* stored(seed)
          const args = ["clear", "--url", url(), "--name", "users"]
          const refused = yield* command(args, { typed: "n\n" })
          assert.strictEqual(refused.code, 1)
          assert.include(
            refused.stdout,
            lists ? "Clear 2 entries, everything under users:? [y/N]" : "Clear everything under users: (how much"
          )
          assert.include(refused.stdout, "nothing was cleared")
          // The end of what is typed is no yes, and Ctrl-C is none.
          assert.strictEqual((yield* command(args, { typed: "" })).code, 1)
          assert.strictEqual((yield* command(args, { typed: "\u0003" })).code, 130)
          assert.strictEqual((yield* stored(Cache.lookup(users, 1)))._tag, "Hit")
          const agreed = yield* command(args, { typed: "y\n" })
          assert.strictEqual(agreed.code, 0)
          assert.include(agreed.stdout, "cleared everything under users:")
          assert.strictEqual((yield* stored(Cache.lookup(users, 1)))._tag, "Miss")
          assert.strictEqual((yield* stored(Cache.lookup(logos, "small")))._tag, "Hit")
        }))

      it.live("clear without a terminal wants --yes, and clears nothing without it", () =>
        Effect.gen(function*() {
          yield* stored(seed)
          const refused = yield* ask("clear", "--prefix", "users:")
          assert.deepInclude(refused, { code: 2, stdout: "" })
          assert.include(refused.stderr, "give --yes")
          assert.strictEqual((yield* stored(Cache.lookup(users, 1)))._tag, "Hit")
          const cleared = yield* ask("clear", "--json", "--prefix", "users:", "--yes")
          assert.deepStrictEqual([cleared.code, json(cleared)], [0, { prefix: "users:", cleared: true }])
          assert.strictEqual((yield* stored(Cache.lookup(users, 1)))._tag, "Miss")
        }))
    })
  }

  it.scopedLive("uWSGI: entries are shown, deleted and cleared; of itself it tells nothing", () =>
    Effect.gen(function*() {
      const { host, port } = yield* UwsgiServer.make()
      const ask = (...args: ReadonlyArray<string>) => command([...args, "--url", `uwsgi://${host}:${port}`])
      const stored = Effect.provide(Cache.set(users, 1, { id: 1, name: "Ada" }), Uwsgi.layer({ host, port }))
      yield* stored
      assert.strictEqual((yield* ask("ping")).code, 0)
      assert.strictEqual(json(yield* ask("get", "--json", "--name", "users", "1")).value.data.name, "Ada")
      assert.include((yield* ask("stats")).stdout, "a uwsgi backend cannot tell")
      assert.isTrue(json(yield* ask("delete", "--json", "--name", "users", "1")).deleted)
      yield* stored
      assert.strictEqual((yield* ask("clear", "--name", "users", "--yes")).code, 0)
      assert.strictEqual((yield* ask("has", "--name", "users", "1")).code, 1)
    }))

  it.live("--tell reaches the local tiers of running programs", () =>
    Effect.gen(function*() {
      const tell = ["--url", redis.url, "--tell", "cache:invalidations"]
      const isMissed = Effect.map(Cache.lookup(users, 1), ({ _tag }) => _tag === "Miss").pipe(
        Effect.orDie,
        Effect.provideService(CacheBackend, yield* CacheBackend)
      )
      const changes: ReadonlyArray<ReadonlyArray<string>> = [
        ["delete", ...tell, "--name", "users", "1"],
        ["invalidate", ...tell, "--tag", "user:1"],
        ["clear", ...tell, "--name", "users", "--yes"]
      ]
      for (const args of changes) {
        yield* Cache.set(users, 1, { id: 1, name: "Ada" })
        // Without it, the copy in this process is served for its minute.
        yield* command(["delete", "--url", redis.url, "--name", "users", "1"])
        assert.isFalse(yield* isMissed, args[0])
        assert.strictEqual((yield* command(args)).code, 0)
        yield* RedisServer.until(isMissed)
      }
      const elsewhere = ["delete", "--url", `file://${folder}`, "--tell", "a", "--name", "users", "1"]
      assert.strictEqual((yield* command(elsewhere)).code, 2)
    }).pipe(Effect.provide(Layer.suspend(() =>
      Tiered.layer({
        local: Memory.layer(),
        remote: Redis.layer({ url: redis.url }),
        bus: RedisBus.layer({ url: redis.url }),
        localTimeToLive: "1 minute"
      })
    ))))

  describe("which store", () => {
    it.live("is told by the environment where there is no --url, with its key prefix", () =>
      Effect.gen(function*() {
        const layer = Redis.layer({ url: redis.url, prefix: "shop:" })
        yield* Effect.provide(Cache.set(users, 7, { id: 7, name: "Edsger" }), layer)
        const env = { CACHE_TYPE: "RedisCache", CACHE_REDIS_URL: redis.url, CACHE_KEY_PREFIX: "shop:" }
        assert.strictEqual((yield* command(["has", "--name", "users", "7"], { env })).code, 0)
        const other = { ...env, CACHE_KEY_PREFIX: "other:" }
        assert.strictEqual((yield* command(["has", "--name", "users", "7"], { env: other })).code, 1)
        const args = ["has", "--name", "users", "--key-prefix", "shop:", "7"]
        assert.strictEqual((yield* command(args, { env: other })).code, 0)
      }))

    it.live("is that of --url, whatever type the environment names", () =>
      Effect.gen(function*() {
        const env = { CACHE_TYPE: "MemcachedCache", CACHE_URL: "memcached://127.0.0.1:1" }
        assert.include((yield* command(["ping", "--url", redis.url], { env })).stdout, "redis answers")
      }))

    it.live("must be told, and be a store", () =>
      Effect.gen(function*() {
        const unnamed = yield* command(["ping"])
        assert.strictEqual(unnamed.code, 2)
        assert.include(unnamed.stderr, "which store? Give --url")
        const strange = yield* command(["ping", "--url", `http://me:${encodeURIComponent(password)}@host`])
        assert.strictEqual(strange.code, 2)
        assert.include(strange.stderr, "--url or CACHE_URL: Expected a url of memory://")
        const missing = yield* command(["ping", "--url", `file://${folder}/missing`])
        assert.strictEqual(missing.code, 3)
        assert.isFalse(existsSync(join(folder, "missing")))
      }))

    it.live("in memory is one that nobody else sees, which is said", () =>
      Effect.gen(function*() {
        const ended = yield* command(["stats", "--url", "memory://"])
        assert.strictEqual(ended.code, 0)
        assert.include(ended.stdout, "a memory backend cannot tell")
        assert.include(ended.stderr, "nothing of theirs can be seen here")
        assert.strictEqual((yield* command(["has", "--url", "null://", "--name", "a", "1"])).code, 1)
      }))

    it.live("that cannot be reached, is frozen or refuses the password is an exit with 3", () =>
      Effect.gen(function*() {
        const [, rest] = redis.url.split("@")
        const refused = yield* command([
          "get",
          "--url",
          `redis://:no-${encodeURIComponent(password)}@${rest}`,
          "-k",
          "a"
        ])
        assert.strictEqual(refused.code, 3)
        assert.include(refused.stderr, "WRONGPASS")
        const credentials = encodeURIComponent(password)
        const urls = [`redis://:${credentials}@127.0.0.1:1`, "memcached://127.0.0.1:1", "uwsgi://127.0.0.1:1"]
        for (const url of urls) {
          const ended = yield* command(["stats", "--url", url]).pipe(
            Effect.zipRight(command(["get", "--url", url, "--key", "a"]))
          )
          assert.deepInclude(ended, { code: 3, stdout: "" })
          assert.match(ended.stderr, /^effect-caching: \w+\.\w+: .+\n$/)
        }
        yield* redis.stop()
        const frozen = yield* Effect.ensuring(command(["stats", "--url", redis.url]), redis.cont())
        assert.deepInclude(frozen, { code: 3, stdout: "" })
      }))
  })

  describe("wrong usage is an exit with 2 and a line that says what is wrong", () => {
    const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, said: string]> = [
      [["get"], "which entry?"],
      [["get", "--name", "users"], "wants arguments"],
      [["get", "--name", "users", "{a:1}"], "is not JSON"],
      [["get", "--name", "users", "--key", "a", "1"], "--key is a whole key"],
      [["get", "--name", "users", "--flavour", "1"], "there is no option --flavour"],
      [["invalidate"], "--tag"],
      [["clear", "--yes"], "one of --name, --prefix and --all"],
      [["clear", "--yes", "--prefix", ""], "one of --name, --prefix and --all"],
      [["clear", "--yes", "--all", "--name", "users"], "one of --name, --prefix and --all"],
      [["watch", "--url", "memcached://host"], "watch needs one Redis server"],
      [["watch", "--url", "redis://127.0.0.1:1", "--every", "0"], "--every"],
      [["frobnicate"], "Invalid subcommand"],
      [["ping", "--url"], "--url"],
      [["ping", `redis://:${encodeURIComponent(password)}@host`, "--json"], "unknown argument"]
    ]
    for (const [args, said] of wrong) {
      it.live(args.join(" ").replace(/:\/\/.*@/, "://…@"), () =>
        Effect.gen(function*() {
          const ended = yield* command(args)
          assert.deepInclude(ended, { code: 2, stdout: "" })
          assert.include(ended.stderr, said)
        }))
    }
  })

  it.live("--help tells the commands and the exit codes, without colours where there is no terminal", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* command(["--help"])
      assert.strictEqual(code, 0)
      for (const name of ["ping", "stats", "get", "has", "explain", "delete", "invalidate", "clear", "watch"]) {
        assert.include(stdout, `- ${name} `)
      }
      assert.include(stdout, "3 the store cannot be reached")
      assert.notInclude(stdout, "\u001b")
      assert.strictEqual((yield* command([])).code, 2)
    }))

  it.live("where a package is missing, it says what to install, and exits with 4", () =>
    Effect.gen(function*() {
      const alone = mkdtempSync(join(tmpdir(), "effect-caching-alone-"))
      cpSync(".build/commands", join(alone, "dist"), { recursive: true })
      cpSync("package.json", join(alone, "package.json"))
      const ended = yield* run(join(alone, "dist/cli/main.js"), ["ping"])
      rmSync(alone, { recursive: true })
      assert.deepInclude(ended, { code: 4, stdout: "" })
      assert.match(ended.stderr, /^effect-caching: @effect\/cli is not installed: npm install @effect\/cli@0\.76 .*\n$/)
    }))
})
