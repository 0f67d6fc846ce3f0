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
