/** Throws when `condition` does not hold: a broken invariant of ours, never bad input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message)
}

/** Closes a `switch` over a union: a new member fails the compile here, an impossible value fails at run time. */
export function unreachable(value: never): never {
  throw new AssertionFailed(`unreachable: ${JSON.stringify(value)}`)
}

export class AssertionFailed extends Error {
  override name = 'AssertionFailed'
}
