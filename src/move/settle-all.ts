/** Waits for all, then throws the failure that came first: nothing is left running behind the back of whoever goes on. `failed` is called when it comes, and may end the others. */
export async function settleAll(work: readonly Promise<void>[], failed: () => void = () => undefined): Promise<void> {
  const failures: unknown[] = []
  await Promise.all(
    work.map((one) =>
      one.catch((error: unknown) => {
        failures.push(error)
        if (failures.length === 1) failed()
      }),
    ),
  )
  if (failures.length > 0) throw failures[0]
}
