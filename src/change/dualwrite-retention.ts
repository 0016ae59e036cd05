/** Leases on the topics' retention: what stood is noted before it is changed, so that it is put back whatever happens. */
import { allTables } from '../ingest/definition.ts'
import type { TopicDefinition } from '../ingest/definition.ts'
import { openTopic } from '../topic/open.ts'
import type { Topic } from '../topic/topic.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { changeRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf } from './dualwrite-spec.ts'
import type { DualWriteSpec, RetentionLease } from './dualwrite-spec.ts'

/**
 * A lease on the topics' retention: noted before it is changed, put back at the end. Twice the longest retention of the rows: enough to begin at
 * the oldest offset and to be compared with what stands in the old branch for all that time.
 */
export async function raiseRetention(
  context: Desk & { workflow: WorkflowRecord; readonly say: (...lines: string[]) => Promise<void> },
  fleets: readonly { readonly fleet: FleetRecord; readonly definition: TopicDefinition }[],
  spec: Pick<DualWriteSpec, 'bootstrap' | 'marginMs'>,
  open: (url: string) => Promise<Topic> = openTopic,
): Promise<void> {
  for (const { fleet, definition } of fleets) {
    const longestMs = Math.max(0, ...allTables(definition).map((one) => one.retentionMs ?? 0))
    const wantedMs = BigInt(Math.ceil(2 * longestMs + spec.marginMs))
    const topic = await open(fleet.topicUrl)
    try {
      const { ms, msFrom } = await topic.retention()
      if (ms === null || ms >= wantedMs || longestMs === 0) continue
      const noted = dataOf(context.workflow).retention ?? []
      const lease: RetentionLease = { topicUrl: fleet.topicUrl, wasMs: String(ms), from: msFrom, raisedToMs: String(wantedMs) }
      // Noted already, and not raised: whoever noted it died in between. What stood before is what it noted.
      if (!noted.some((one) => one.topicUrl === fleet.topicUrl))
        context.workflow = await changeRun(context, context.workflow, (now) => ({
          data: { retention: [...(dataOf(now).retention ?? []), lease] },
        }))
      try {
        await topic.setRetentionMs(wantedMs)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        // What the topic holds does not fill the window, and will not: that is `pin+wait`, which nobody asked for.
        if (spec.bootstrap === 'pin' && Number(ms) - spec.marginMs < longestMs)
          throw dualwriteErrors.retentionRefused(
            { topic: fleet.topicUrl, reason, ms: Number(ms), needed: longestMs + spec.marginMs },
            error,
          )
        await context.say(`the retention of ${fleet.topicUrl} stays ${ms} ms: ${reason}`)
        continue
      }
      await context.say(`retention of ${fleet.topicUrl} raised from ${ms} to ${wantedMs} ms; it is put back at the end`)
    } finally {
      await topic.close()
    }
  }
}

export async function putRetentionBack(
  context: { readonly workflow: WorkflowRecord },
  say: (line: string) => Promise<void>,
): Promise<void> {
  for (const lease of dataOf(context.workflow).retention ?? []) {
    const topic = await openTopic(lease.topicUrl)
    try {
      const { ms } = await topic.retention()
      if (!isOurs(lease, ms)) continue
      await topic.setRetentionMs(lease.from === 'default' ? 'default' : lease.wasMs === null ? null : BigInt(lease.wasMs))
      await say(`retention of ${lease.topicUrl} is ${lease.wasMs ?? 'unlimited'} ms again`)
    } finally {
      await topic.close()
    }
  }
}

/** Not: somebody else has set it since, and theirs it is. What we were about to raise further may stand at any of our own. */
function isOurs(lease: RetentionLease, ms: bigint | null): boolean {
  return ms !== null && [lease.raisedToMs, ...(lease.before ?? [])].includes(String(ms))
}

/** A topic's retention as its owner has it: what a run has raised for as long as it lasts, and puts back, is not that. */
export function ownRetentionMs(leases: readonly RetentionLease[], topicUrl: string, ms: bigint | null): bigint | null {
  const lease = leases.find((one) => one.topicUrl === topicUrl)
  if (lease === undefined || !isOurs(lease, ms)) return ms
  return lease.wasMs === null ? null : BigInt(lease.wasMs)
}

/** Twice what stands, noted like the first raise; null: the broker refuses. */
export async function renew(
  desk: Desk,
  run: WorkflowRecord,
  low: { url: string; ms: bigint; from: 'topic' | 'default' },
): Promise<string | null> {
  const wanted = low.ms * 2n
  const leases = dataOf(run).retention ?? []
  const known = leases.find((one) => one.topicUrl === low.url)
  const lease: RetentionLease = {
    topicUrl: low.url,
    wasMs: known?.wasMs ?? String(low.ms),
    from: known?.from ?? low.from,
    raisedToMs: String(wanted),
    before: [...(known?.before ?? []), ...(known?.raisedToMs == null ? [] : [known.raisedToMs])],
  }
  await changeRun(desk, run, (now) => ({
    data: { retention: [...(dataOf(now).retention ?? []).filter((one) => one.topicUrl !== low.url), lease] },
  }))
  const topic = await openTopic(low.url)
  try {
    await topic.setRetentionMs(wanted)
    return `retention.ms of ${low.url} is raised to ${wanted}, and put back at the end`
  } catch {
    return null
  } finally {
    await topic.close()
  }
}
