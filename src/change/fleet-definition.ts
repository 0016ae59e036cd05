/**
 * Another version of the definition for a fleet that runs. Consumers see the record change and begin anew with it; from which offset of each partition on it decodes is fixed
 * by whoever takes the partition next, above everything that any shard has (PROTOCOLS 4.12). So the one before must be in `previous`, the very same: records below that offset may be
 * read again, and have to make the same rows.
 */
import { ingestErrors } from '../ingest/errors.ts'
import { checkTopic } from '../ingest/topic-check.ts'
import type { TopicCheck } from '../ingest/topic-check.ts'
import type { TopicDefinition } from '../ingest/definition.ts'
import { openTopic } from '../topic/open.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { put, readRecord } from '../topology/typed.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { openRunOn } from './dualwrite-record.ts'
import type { FleetWorld } from './fleets.ts'

/**
 * @throws SW-DUALWRITE-007 no such fleet, -016 a run is open (what it was judged by would change), -025 the definition does not follow on the fleet's,
 *   SW-INGEST-004 it does not fit the tables
 */
export async function updateDefinition(
  world: FleetWorld,
  name: string,
  path: string,
  signal: AbortSignal,
  check: (...args: Parameters<typeof checkTopic>) => Promise<Pick<TopicCheck, 'problems'>> = checkTopic,
): Promise<FleetRecord> {
  const { store } = world
  const definition = await world.loadDefinition(path)
  for (;;) {
    const fleet = await readRecord<FleetRecord>(store, keys.fleet(name))
    if (fleet === null) throw dualwriteErrors.noFleet({ fleet: name })
    const { keyspace, branch, topicUrl } = fleet.value
    // A run claims the reads of its keyspace: one that is created meanwhile changes this record.
    const rule = await store.get(keys.reads(keyspace))
    const run = await openRunOn(store, keyspace)
    if (run !== null) throw dualwriteErrors.openRun({ verb: `update of fleet ${name}`, keyspace, name: run.name })
    const reason = whyNotNext(fleet.value, definition)
    if (reason !== null) throw dualwriteErrors.definitionNotNext({ path, fleet: name, version: fleet.value.definitionVersion, reason })
    const { problems } = await check(store, definition, { keyspace, branch, topicUrl }, openTopic, signal)
    if (problems.length > 0) {
      const text = problems.map((p) => `${p.table}${p.column === null ? '' : `.${p.column}`}: ${p.problem}`).join('; ')
      throw ingestErrors.doesNotFit({ topic: definition.topic, keyspace, problems: text })
    }
    const next: FleetRecord = {
      ...fleet.value,
      definitionPath: path,
      definitionVersion: definition.version,
      definitionDigest: definition.digest,
    }
    const result = await store.commit(
      [
        { key: fleet.key, version: fleet.version },
        { key: keys.reads(keyspace), version: rule?.version ?? 0 },
      ],
      [put(fleet.key, next)],
    )
    if (result.ok) return next
  }
}

/** Pure. Null: it may follow; also the same one, in another file. */
export function whyNotNext(
  fleet: Pick<FleetRecord, 'definitionVersion' | 'definitionDigest'>,
  definition: Pick<TopicDefinition, 'version' | 'digest' | 'previous'>,
): string | null {
  const { definitionVersion: version, definitionDigest: digest } = fleet
  if (definition.version === version && definition.digest === digest) return null
  if (definition.version <= version) return `it says other things under version ${definition.version}, which is not above ${version}`
  const before = definition.previous.find((older) => older.version === version)
  if (before === undefined) return `its \`previous\` has no version ${version}`
  return before.digest === digest ? null : `version ${version} in its \`previous\` is not the one that the fleet runs with`
}
