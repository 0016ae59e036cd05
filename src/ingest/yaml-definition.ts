/**
 * Definitions as YAML: the part that needs no code. Fields of a JSON record go to columns by name; everything else is as in `defineTopic`.
 *
 *     topic: queries
 *     version: 1
 *     decode: { json: { database_id: integer, fingerprint: text, at: integer, queries: integer, ms: number } }
 *     eventTime: at                       # a field in Unix ms; absent: the record's own timestamp
 *     poison: stop                        # or dead-letter
 *     previous: [./queries-1.yaml]        # versions before, oldest first, each in a file of its own; a module may be one, too
 *     tables:
 *       query_hour:
 *         kind: coalesced
 *         shardKey: [database_id]
 *         key: [database_id, fingerprint, hour]
 *         bucket: { column: hour, every: 1h }
 *         retention: 8d
 *         where: { slow: true }           # only records whose field has this value
 *         columns:
 *           database_id: key              # merge, from the field of the same name
 *           hour: key
 *           queries: { merge: sum }
 *           worst: { merge: max, field: ms }
 *           latency: { merge: sketch, field: ms, relativeError: 0.01 }
 */
import { parse } from 'yaml'
import { z } from 'zod'
import { defineTopic, type Bucket, type Columns, type Row, type TableSpec, type TopicDefinition } from './definition.ts'
import { ingestErrors } from './errors.ts'
import { json, type FieldType, type JsonSchema } from './json.ts'

const merges = ['key', 'value', 'sum', 'count', 'min', 'max', 'last', 'first', 'sketch'] as const
const fieldTypes = ['integer', 'number', 'decimal', 'text', 'boolean', 'any'] as const
const fieldType = z.string().refine((text): text is FieldType => (fieldTypes as readonly string[]).includes(text.replace(/\?$/, '')), {
  message: `one of ${fieldTypes.join(', ')}, with ? behind it when it may be absent`,
})
const duration = z
  .string()
  .regex(/^\d+(ms|s|m|h|d)$/, 'a duration such as 15s, 1m, 1h, 8d')
  .transform((text) => Number.parseInt(text) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[text.replace(/^\d+/, '') as 'ms'])

const column = z.union([
  z.enum(merges).transform((merge) => ({ merge, field: undefined, from: undefined, relativeError: undefined })),
  z.strictObject({
    merge: z.enum(merges),
    field: z.string().optional(),
    from: z.enum(['topic', 'partition', 'offset']).optional(),
    relativeError: z.number().optional(),
  }),
])

const table = z.strictObject({
  kind: z.enum(['coalesced', 'row', 'dimension']),
  shardKey: z.array(z.string()),
  key: z.array(z.string()),
  bucket: z.strictObject({ column: z.string(), every: duration, as: z.enum(['datetime', 'ms', 's']).optional() }).optional(),
  retention: duration.optional(),
  lastVersion: z.string().optional(),
  firstVersion: z.string().optional(),
  tombstone: z.string().optional(),
  /** A text field. */
  eventId: z.string().optional(),
  where: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
  columns: z.record(z.string(), column),
})

const definition = z.strictObject({
  topic: z.string(),
  version: z.number(),
  decode: z.strictObject({ json: z.record(z.string(), fieldType) }),
  eventTime: z.string().optional(),
  poison: z.enum(['stop', 'dead-letter']).optional(),
  previous: z.array(z.string()).optional(),
  tables: z.record(z.string(), table),
})

function readYaml(text: string, file: string): z.infer<typeof definition> {
  const unreadable = (reason: string, cause?: unknown): Error => ingestErrors.definitionUnreadable({ file, reason }, cause)
  let raw: unknown
  try {
    raw = parse(text)
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : String(error), error)
  }
  const read = definition.safeParse(raw)
  if (!read.success) throw unreadable(read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
  return read.data
}

/** Files that a definition names in `previous`. @throws SW-INGEST-003 */
export function previousFiles(text: string, file: string): readonly string[] {
  return readYaml(text, file).previous ?? []
}

/** @param previous what `previous` names, loaded. @throws SW-INGEST-003 with every problem by its path, SW-INGEST-001 */
export function parseDefinition(text: string, file: string, previous: readonly TopicDefinition[] = []): TopicDefinition {
  const unreadable = (reason: string): Error => ingestErrors.definitionUnreadable({ file, reason })
  const data = readYaml(text, file)
  // Which file an older version is in says nothing of it.
  const { previous: _files, ...said } = data
  const schema = data.decode.json as JsonSchema
  const field = (name: string, where: string): string => {
    if (schema[name] === undefined) throw unreadable(`${where}: decode has no field ${name}`)
    return name
  }
  const { eventTime } = data
  if (eventTime !== undefined) field(eventTime, 'eventTime')
  const tables = Object.fromEntries(Object.entries(data.tables).map(([name, spec]) => [name, tableSpec(name, spec, field)]))
  return defineTopic<unknown, Record<string, Columns>, Record<string, Bucket | null>>({
    topic: data.topic,
    version: data.version,
    decode: json(schema),
    ...(eventTime === undefined ? {} : { eventTime: (event) => Number((event as Row)[eventTime]) }),
    ...(data.poison === undefined ? {} : { poison: data.poison }),
    ...(previous.length === 0 ? {} : { previous }),
    // Functions of YAML all read alike: what they close over goes into the digest by this.
    ...({ source: said } as object),
    tables,
  })
}

function tableSpec(
  name: string,
  spec: z.infer<typeof table>,
  field: (name: string, where: string) => string,
): TableSpec<unknown, Columns, Bucket | null> {
  const columns: Columns = Object.fromEntries(
    Object.entries(spec.columns).map(([column_, { merge, from, relativeError }]) => [
      column_,
      { merge, ...(from === undefined ? {} : { from }), ...(relativeError === undefined ? {} : { relativeError }) },
    ]),
  )
  const mapped = Object.entries(spec.columns)
    .filter(([column_, { merge, from }]) => merge !== 'count' && from === undefined && column_ !== spec.bucket?.column)
    .map(([column_, { field: from }]) => [column_, field(from ?? column_, `tables.${name}.columns.${column_}`)] as const)
  const where = Object.entries(spec.where ?? {})
  for (const [wanted] of where) field(wanted, `tables.${name}.where`)
  const { bucket, retention, lastVersion, firstVersion, tombstone, eventId } = spec
  if (eventId !== undefined) field(eventId, `tables.${name}.eventId`)
  return {
    kind: spec.kind,
    shardKey: spec.shardKey,
    key: spec.key,
    columns,
    ...(bucket === undefined
      ? {}
      : { bucket: { column: bucket.column, everyMs: bucket.every, ...(bucket.as === undefined ? {} : { as: bucket.as }) } }),
    ...(retention === undefined ? {} : { retentionMs: retention }),
    ...(lastVersion === undefined ? {} : { lastVersion }),
    ...(firstVersion === undefined ? {} : { firstVersion }),
    ...(tombstone === undefined ? {} : { tombstone }),
    ...(eventId === undefined ? {} : { eventId: (event: unknown) => String((event as Row)[eventId]) }),
    map(event) {
      const record = event as Row
      for (const [name_, value] of where) if (record[name_] !== value) return null
      return Object.fromEntries(mapped.map(([column_, from]) => [column_, plain(record[from])]))
    },
  }
}

function plain(value: Row[string] | boolean | undefined): never {
  return (typeof value === 'boolean' ? Number(value) : value) as never
}
