/** Milliseconds of the processor that some work takes: the machine may be busy with others meanwhile. */
export function cpuMsOf(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
