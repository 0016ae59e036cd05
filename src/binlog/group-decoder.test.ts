/** Proves the decoder on packets that real servers sent (testdata/, made by testkit/capture.ts), and on the same packets damaged in every way. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { isSwError } from '../base/errors.ts'
import { eventType } from './event-types.ts'
import { decodeFixture, decodePacket, fixtureDecoder, StreamedPayload, type Fixture } from './testkit/fixture.ts'
import type { TailEvent } from './source.ts'

/** Sets size and checksum right again, so that the damage reaches the decoder proper. */
function sealed(event: Buffer): Buffer {
  const packet = Buffer.from(event)
  packet.writeUInt32LE(packet.length, 9)
  packet.writeUInt32LE(crc32(packet.subarray(0, -4)), packet.length - 4)
  return packet
}

function madeEvent(type: number, body: Buffer): Buffer {
  const event = Buffer.alloc(19 + body.length + 4)
  event[4] = type
  body.copy(event, 19)
  return sealed(event)
}

for (const flavour of ['mariadb', 'mysql']) {
  describe(`packets of ${flavour}`, () => {
    const fixture = JSON.parse(readFileSync(join(import.meta.dirname, 'testdata', `${flavour}.json`), 'utf8')) as Fixture
    const packets = fixture.packets.map((packet) => Buffer.from(packet, 'base64'))
    const typeOf = (packet: Buffer): number => packet[4] as number
    const isRows = (packet: Buffer): boolean => [23, 24, 25, 30, 31, 32, 166, 167, 168].includes(typeOf(packet))
    const firstRows = packets.findIndex(isRows)

    /** A decoder that has taken the packets before `at`, undamaged. */
    function decoderAt(at: number): ReturnType<typeof fixtureDecoder> {
      const decoder = fixtureDecoder(fixture)
      for (const packet of packets.slice(0, at)) decodePacket(decoder, packet)
      return decoder
    }

    function mustBeClear(error: unknown): void {
      assert.ok(
        isSwError(error) && error.code.startsWith('SW-BINLOG-'),
        `not an error of ours: ${error instanceof Error ? error.stack : String(error)}`,
      )
      assert.doesNotMatch(error.message, /\{\w+\}/, 'places left open')
    }

    test('decode to what they decoded to', () => assert.deepEqual(decodeFixture(fixture), fixture.events))

    test('promise 4: rows of a table that has the id of the dummy are rows', () => {
      const idOf = (packet: Buffer): number => packet.readUIntLE(19, 6)
      const id = idOf(packets[firstRows] as Buffer)
      const renamed = packets.map((packet) => {
        if (!(isRows(packet) || typeOf(packet) === eventType.tableMap) || idOf(packet) !== id) return packet
        const copy = Buffer.from(packet)
        copy.writeUIntLE(0xffffff, 19, 6)
        return sealed(copy)
      })
      assert.deepEqual(decodeFixture({ ...fixture, packets: renamed.map((packet) => packet.toString('base64')) }), fixture.events)
    })

    test('in parts of any size, the same rows', () => {
      for (const partBytes of [1, 40, 333, 5_000]) {
        const rowsOf = (lines: readonly string[]): string[] =>
          lines.filter((line) => line.startsWith('rows')).flatMap((line) => line.split('\n').slice(1))
        assert.deepEqual(rowsOf(decodeFixture(fixture, { partBytes })), rowsOf(fixture.events))
      }
    })

    test('a table of which only the name is wanted: the same events without rows, whatever its definition', () => {
      const heads = fixture.events.map((text) => text.split('\n')[0]!)
      const named = decodeFixture(fixture, { table: (schema) => ({ kind: schema === 'f' ? 'name' : 'skip' }) })
      assert.deepEqual(
        named,
        heads.filter((line, i) => !(line.startsWith('rows') && line === heads[i - 1])),
      )
      assert.ok(named.some((line) => line.startsWith('rows f.')))
    })

    test('promise 4: an event cut anywhere is an error of ours with coordinates, never a value', () => {
      for (let at = 0; at < packets.length; at++) {
        const packet = packets[at] as Buffer
        // The small tail of ignored events says nothing to us wherever it is cut.
        const matters =
          isRows(packet) ||
          [
            eventType.query,
            eventType.gtid,
            eventType.gtidTagged,
            eventType.mariadbGtid,
            eventType.xaPrepare,
            eventType.tableMap,
            eventType.transactionPayload,
          ].includes(typeOf(packet) as never)
        if (!matters) continue
        const step = Math.max(1, Math.floor(packet.length / 60))
        for (let cut = 19; cut < packet.length - 4; cut += step) {
          const decoder = decoderAt(at)
          const damaged = sealed(Buffer.concat([packet.subarray(0, cut), Buffer.alloc(4)]))
          try {
            const events = decodePacket(decoder, damaged)
            // Cut between two rows, within a statement's text, or before fields that only describe: whole values must still be the same.
            if (isRows(packet)) {
              const whole = decodePacket(decoderAt(at), packet)
              assert.deepEqual(rowTexts(events), rowTexts(whole).slice(0, rowTexts(events).length))
            }
          } catch (error) {
            mustBeClear(error)
          }
        }
      }
    })

    test('promise 4: damaged bytes give an error of ours or other values, and always an end', () => {
      fc.assert(
        fc.property(
          fc.nat(packets.length - 1),
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
          (at, changes) => {
            const packet = Buffer.from(packets[at] as Buffer)
            for (const [place, value] of changes) packet[19 + (place % Math.max(1, packet.length - 23))] = value
            const decoder = decoderAt(at)
            try {
              decodePacket(decoder, sealed(packet))
            } catch (error) {
              if (error instanceof StreamedPayload) decoder.close()
              else mustBeClear(error)
            }
          },
        ),
        { numRuns: 400 },
      )
    })

    test('a wrong checksum stops', () => {
      const packet = Buffer.from(packets[firstRows] as Buffer)
      packet[30] = (packet[30] as number) ^ 1
      assert.throws(
        () => decodePacket(decoderAt(firstRows), packet),
        (error) => isSwError(error, 'SW-BINLOG-007') && error.params['offset'] !== undefined,
      )
    })

    test('promise 4: an event of unknown type stops, ignorable flag or not', () => {
      for (const flags of [0, 0x80]) {
        const event = madeEvent(99, Buffer.from('??'))
        event.writeUInt16LE(flags, 17)
        assert.throws(
          () => decodePacket(decoderAt(firstRows), sealed(event)),
          (error) => isSwError(error, 'SW-BINLOG-006'),
        )
      }
    })

    test('promise 4: incidents, encrypted files without checksums and rows without table map stop', () => {
      const incident = madeEvent(eventType.incident, Buffer.from('\x01\x00\x04lost', 'latin1'))
      assert.throws(
        () => decodePacket(decoderAt(firstRows), incident),
        (error) => isSwError(error, 'SW-BINLOG-010') && /lost/.test(error.message),
      )
      // What follows it is checked, or could be anything.
      const encrypted = madeEvent(eventType.mariadbStartEncryption, Buffer.alloc(17))
      assert.deepEqual(decodePacket(decoderAt(3), encrypted), [])
      const unchecked = Buffer.from(encrypted.subarray(0, -4))
      unchecked.writeUInt32LE(unchecked.length, 9)
      assert.throws(
        () => decodePacket(fixtureDecoder(fixture, { checksum: false }), unchecked),
        (error) => isSwError(error, 'SW-BINLOG-011'),
      )
      const mapAt = packets.findIndex((packet) => typeOf(packet) === eventType.tableMap)
      assert.throws(
        () => decodePacket(decoderAt(mapAt), packets[firstRows] as Buffer),
        (error) => isSwError(error, 'SW-BINLOG-015'),
      )
    })

    test('promise 3: events out of place stop instead of joining a neighbour', () => {
      const begin = packets[
        packets.findIndex((packet) => [eventType.gtid, eventType.mariadbGtid].includes(typeOf(packet) as never))
      ] as Buffer
      assert.throws(
        () => decodePacket(decoderAt(firstRows), begin),
        (error) => isSwError(error, 'SW-BINLOG-016'),
      )
      const outside = fixtureDecoder(fixture)
      assert.throws(
        () => decodePacket(outside, packets[firstRows] as Buffer),
        (error) => isSwError(error, 'SW-BINLOG-016'),
      )
    })

    test('a group torn by a crash is abandoned, and its position never given', () => {
      const decoder = decoderAt(firstRows + 1)
      const events = decodePacket(decoder, packets.find((packet) => typeOf(packet) === eventType.formatDescription) as Buffer)
      assert.deepEqual(
        events.map((event) => event.kind),
        ['abandon'],
      )
      // What follows begins anew.
      const next = packets
        .slice(firstRows + 1)
        .find((packet) => [eventType.gtid, eventType.mariadbGtid].includes(typeOf(packet) as never)) as Buffer
      assert.equal(decodePacket(decoder, next)[0]?.kind, 'begin')
    })
  })
}

function rowTexts(events: readonly TailEvent[]): string[] {
  return events.flatMap((event) =>
    event.kind !== 'rows'
      ? []
      : Array.from({ length: event.length }, (_, row) =>
          [event.before, event.after]
            .map(
              (batch) =>
                batch
                  ?.row(row)
                  .map((cell) => cell?.toString('hex') ?? 'NULL')
                  .join() ?? '',
            )
            .join('>'),
        ),
  )
}
