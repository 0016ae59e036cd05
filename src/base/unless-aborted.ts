/** The work goes on, for others who wait for it; who waits here leaves when the signal says so, with its reason. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (signal == null) return work
  work.catch(() => undefined)
  const over = new AbortController()
  const aborted = new Promise<never>((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { signal: over.signal }),
  )
  aborted.catch(() => undefined)
  try {
    signal.throwIfAborted()
    return await Promise.race([work, aborted])
  } finally {
    over.abort()
  }
}
