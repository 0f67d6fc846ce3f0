/** Before the tests of every file. */
import { isDeepStrictEqual } from "node:util"
import { chai } from "vitest"

// As it comes, `assert.deepStrictEqual(Option.none(), Option.some(1))` holds: what is on the prototype is not compared.
chai.config.deepEqual = isDeepStrictEqual
