/** Packets that a server sent, and the events they decode to, as text. */
import { GroupDecoder, type GroupDecoderOptions } from '../group-decoder.ts'
import { parsePosition } from '../position-text.ts'
import type { ColumnDefinition, TailEvent } from '../source.ts'

export type Fixture = {
  readonly version: string
  readonly position: string
  readonly definitions: Readonly<Record<string, ColumnDefinition[]>>
  readonly packets: readonly string[]
  readonly events: readonly string[]
}

export function fixtureDecoder(fixture: Fixture, more: Partial<GroupDecoderOptions> = {}): GroupDecoder {
  return new GroupDecoder({
    start: parsePosition(fixture.position),
    checksum: true,
    table: (schema, name) => {
      const columns = schema === 'f' ? fixture.definitions[name] : undefined
      return columns === undefined ? { kind: 'skip' } : { kind: 'decode', columns }
    },
    ...more,
  })
}

/** Feeds all packets; synchronous, so payloads must be below the size that is streamed. */
export function decodeFixture(fixture: Fixture, more: Partial<GroupDecoderOptions> = {}): string[] {
  const decoder = fixtureDecoder(fixture, more)
  return fixture.packets.flatMap((packet) =>
    decodePacket(decoder, Buffer.from(packet, 'base64'))
      .map(eventText)
      .filter((text) => text !== ''),
  )
}

/** A payload whose (perhaps damaged) size says that it is streamed: not for a synchronous decoder. */
export class StreamedPayload extends Error {}

export function decodePacket(decoder: GroupDecoder, packet: Buffer): TailEvent[] {
  const events: TailEvent[] = []
  decoder.feed(packet)
  for (;;) {
    const event = decoder.poll()
    if (event === 'unpack') throw new StreamedPayload()
    if (event === undefined) return events
    events.push(event)
  }
}

function eventText(event: TailEvent): string {
  const at = 'at' in event ? `${event.at.file}:${event.at.offset}` : ''
  switch (event.kind) {
    case 'heartbeat':
      return ''
    case 'begin':
      return `begin ${event.gtid} server ${event.serverId} at ${at}`
    case 'query':
      return `query ${JSON.stringify(event.statement)} ${event.text.toString()} at ${at}`
    case 'rows': {
      const image = (batch: typeof event.before, row: number): string =>
        batch === null
          ? ''
          : `\n  ${batch
              .row(row)
              .map((cell) =>
                cell === null ? 'NULL' : /^[ -~]*$/.test(cell.toString('latin1')) ? cell.toString('latin1') : `0x${cell.toString('hex')}`,
              )
              .join(' | ')}`
      let text = `rows ${event.table.schema}.${event.table.name} ${event.change} at ${at}`
      for (let row = 0; row < event.length; row++)
        text += image(event.before, row) + (event.before !== null && event.after !== null ? '\n  →' : '') + image(event.after, row)
      return text
    }
    default:
      return `${event.kind} ${'xid' in event ? event.xid : ''} ${'position' in event ? event.position : ''} at ${at}`
  }
}
