/** T_ready of each way, with the formula as it was put in numbers. */
import { calculate } from './amount.ts'
import type { Amount, PlanInput } from './figures.ts'
import { catchUpSeconds, copySeconds, drainSeconds, pinDepthSeconds, pinReadySeconds, waitReadySeconds } from './formulas.ts'
import type { Way } from './result.ts'
import { bytesText, durationText, rateText, retentionText, round } from './text.ts'

export type Phase = { readonly name: string; readonly seconds: Amount }
export type Ready = { readonly seconds: Amount; readonly because: string; readonly phases: readonly Phase[] }

/** Of the whole keyspace, or of its dimension tables only. */
export function replicateReady(input: PlanInput, bytes: Amount): Ready & { lag: Amount; copy: Amount } {
  const f = input.figures
  const rr = f.readBytesPerSecond.value
  const wt = f.targetWriteBytesPerSecond.value
  const copy = calculate([bytes, rr, wt, f.copyDuty.value, f.keySeconds.value], (s, read, write, duty, keys) =>
    copySeconds({
      bytes: s,
      readBytesPerSecond: read,
      targets: input.shardsWanted,
      targetWriteBytesPerSecond: write,
      duty,
      keySeconds: keys,
    }),
  )
  const lag = calculate([copy, f.lagShare.value], (c, share) => c * share)
  const b = f.binlogBytesPerSecond.value
  const a = f.applyBytesPerSecond.value
  const drain = calculate([b, a, lag], (log, apply, behind) =>
    drainSeconds({ binlogBytesPerSecond: log, applyBytesPerSecond: apply, lagSeconds: behind }),
  )
  const n = input.shardsWanted
  return {
    seconds: calculate([copy, drain], (c, d) => c + d),
    because:
      `copy max(${bytesText(bytes)} / ${bytesText(rr)}/s, ${bytesText(bytes)} / (${n} × ${bytesText(wt)}/s)) / ${amountText(f.copyDuty.value)} + keys ${durationText(f.keySeconds.value)} = ${durationText(copy)}; ` +
      `then drain b·lag/(a − b) = ${bytesText(b)}/s × ${durationText(lag)} / (${bytesText(a)}/s − ${bytesText(b)}/s) = ${durationText(drain)}`,
    phases: [
      { name: 'copy', seconds: copy },
      { name: 'drain', seconds: drain },
    ],
    lag,
    copy,
  }
}

export function waitReady(input: PlanInput): Ready {
  const rd = input.figures.storeRetentionSeconds.value
  const seconds = calculate([rd], waitReadySeconds)
  return {
    seconds,
    because: `from the end of the topic: one retention of the rows, Rd = ${retentionText(rd)}`,
    phases: [{ name: 'fill', seconds }],
  }
}

export function pinDepth(input: PlanInput): Amount {
  const f = input.figures
  return calculate([f.storeRetentionSeconds.value, f.topicRetentionSeconds.value, f.marginSeconds.value], (rd, rk, m) =>
    pinDepthSeconds({ storeRetentionSeconds: rd, topicRetentionSeconds: rk, marginSeconds: m }),
  )
}

export function pinReady(input: PlanInput): Ready & { depth: Amount; catchUp: Amount } {
  const f = input.figures
  const depth = pinDepth(input)
  const [rd, r, w] = [f.storeRetentionSeconds.value, f.eventsPerSecond.value, f.fleetEventsPerSecond.value]
  const seconds = calculate([rd, depth, r, w], pinReadySeconds)
  const catchUp = calculate([depth, r, w], catchUpSeconds)
  const missing = calculate([rd, depth], (all, back) => all - back)
  const rest = calculate([seconds, catchUp], (all, first) => Math.max(0, all - first))
  return {
    seconds,
    because:
      `pinned min(Rk − m, Rd) = min(${retentionText(f.topicRetentionSeconds.value)} − ${durationText(f.marginSeconds.value)}, ${retentionText(rd)}) = ${durationText(depth)} back: ` +
      `max(${durationText(depth)} × r/(w − r) = ${durationText(catchUp)} to read the backlog [r ${rateText(r)}, w ${rateText(w)}], Rd − ${durationText(depth)} = ${durationText(missing)} to fill the window)`,
    phases: [
      { name: 'catch up', seconds: catchUp },
      { name: 'fill', seconds: rest },
    ],
    depth,
    catchUp,
  }
}

export function hybridReady(input: PlanInput): Ready {
  const inner = fillingWay(input)
  const facts = inner === 'wait' ? waitReady(input) : pinReady(input)
  const dimensions = replicateReady(input, input.figures.dimensionBytes.value)
  return {
    seconds: calculate([facts.seconds, dimensions.seconds], (a, b) => Math.max(a, b)),
    because: `facts by ${inner}: ${facts.because}; dimensions beside it: ${dimensions.because}; the longer of ${durationText(facts.seconds)} and ${durationText(dimensions.seconds)}`,
    phases: [{ name: 'copy dimensions', seconds: dimensions.seconds }, ...facts.phases],
  }
}

/** Which of the topic's ways fits its retention: pin where all is there, pin and wait from half on, else wait. */
export function fillingWay(input: PlanInput): Extract<Way, 'wait' | 'pin' | 'pin+wait'> {
  const rd = input.figures.storeRetentionSeconds.value
  const rk = input.figures.topicRetentionSeconds.value
  const depth = pinDepth(input)
  if (rk === 'unknown' || rd === 'unknown' || depth === 'unknown') return 'wait'
  if (rd === depth) return 'pin'
  return rk === 'unbounded' || (rd !== 'unbounded' && rk >= rd / 2) ? 'pin+wait' : 'wait'
}

export function readyOf(input: PlanInput, way: Way): Ready {
  switch (way) {
    case 'replicate':
      return replicateReady(input, input.figures.sourceBytes.value)
    case 'wait':
      return waitReady(input)
    case 'pin':
    case 'pin+wait':
      return pinReady(input)
    case 'hybrid':
      return hybridReady(input)
  }
}

function amountText(amount: Amount): string {
  return typeof amount === 'string' ? amount : round(amount)
}
