/**
 * A child process of `up` ends when its parent is gone, however that ended: nobody would supervise it, and a second `up`
 * would meet it. Two signs, either suffices: the channel or pipe from the parent closes (at once, also on kill -9), or the
 * parent's pid changes (the kernel hands orphans to another process), looked at every `pollMs`.
 */
export type ParentWatchOptions = {
  /** Called once. The process must end itself within two seconds of it. */
  readonly onGone: (sign: 'channel closed' | 'stdin closed' | 'parent changed') => void
  /** Watch standard input: only when the parent gave a pipe and never writes to it. */
  readonly stdin?: boolean
  readonly pollMs?: number
}

/** Starts watching; returns what stops it. Does not keep the process alive by itself. */
export function watchParent(options: ParentWatchOptions): () => void {
  const parent = process.ppid
  let done = false
  const gone = (sign: 'channel closed' | 'stdin closed' | 'parent changed'): void => {
    if (done) return
    stop()
    options.onGone(sign)
  }
  const onDisconnect = (): void => gone('channel closed')
  const onEnd = (): void => gone('stdin closed')
  const timer = setInterval(() => {
    if (process.ppid !== parent) gone('parent changed')
  }, options.pollMs ?? 500)
  timer.unref()
  const stop = (): void => {
    done = true
    clearInterval(timer)
    process.off('disconnect', onDisconnect)
    if (options.stdin === true) process.stdin.off('end', onEnd).off('close', onEnd)
  }
  if (process.channel !== undefined && process.channel !== null) {
    process.on('disconnect', onDisconnect)
    // Listening for 'disconnect' alone must not hold the process.
    process.channel.unref()
  }
  if (options.stdin === true) {
    process.stdin.on('end', onEnd).on('close', onEnd).resume()
    ;(process.stdin as { unref?: () => void }).unref?.()
  }
  return stop
}
