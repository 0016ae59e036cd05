/** Query statistics, second topic: each slow query at once. One row each, by the record's coordinates, never merged. */
import { defineTopic, json } from 'shardwright/topics'
import { realTime, type Time } from './summaries.ts'

export const slowQueries = (time: Time) =>
  defineTopic({
    topic: 'slow_queries',
    version: 1,
    decode: json({ event_id: 'text', database_id: 'integer', at: 'integer', ms: 'integer', query: 'text' }),
    eventTime: (event) => Number(event.at),
    tables: {
      slow_query: {
        kind: 'row',
        shardKey: ['database_id'],
        key: ['database_id', 'at', 'from_partition', 'from_offset'],
        bucket: { column: 'at', everyMs: time.hourMs },
        retentionMs: time.keptMs,
        columns: {
          database_id: { merge: 'key' },
          at: { merge: 'key' },
          from_partition: { merge: 'key', from: 'partition' },
          from_offset: { merge: 'key', from: 'offset' },
          event_id: { merge: 'value' },
          ms: { merge: 'value' },
          query: { merge: 'value' },
        },
        map: (event) => ({ database_id: event.database_id, event_id: event.event_id, ms: event.ms, query: event.query }),
      },
    },
  })

export default slowQueries(realTime)
