/**
 * What authors of backends, and of programs that must survive a broken one, test
 * with.
 *
 * @since 1.0.0
 */

/**
 * The contract of a backend as cases for any test runner.
 *
 * @since 1.0.0
 */
export * as Conformance from "./Conformance.js"

/**
 * A backend that fails on command.
 *
 * @since 1.0.0
 */
export * as Faulty from "./Faulty.js"
