/**
 * Waits for all, then gives all results or throws the first error. Unlike Promise.all nothing is left running when it returns: an effect
 * on one server must not go on beside what its failure on another brings about.
 */
export async function settled<T extends readonly unknown[] | []>(work: T): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
  return Promise.all(work)
}
