/** Waits for all, then throws the first failure: nothing is left running behind the back of whoever goes on. */
export async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  const settled = await Promise.allSettled(work)
  for (const result of settled) if (result.status === 'rejected') throw result.reason
}
