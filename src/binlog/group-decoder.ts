/**
 * Events in, the grammar of `source.ts` out. Pure: no sockets, no clock. `feed` one event, then `poll` until it gives undefined; where `poll`
 * says `'unpack'`, await `unpack()` first.
 *
 * Why positions are right (promises 3, 4): the position only moves when a group's last event was read, in the one place `#endGroup`; every event type is named here and whatever is not named throws; and a group is opened by its GTID event alone, so an event that stands where the grammar has no place for it throws instead of being taken into a neighbour's group.
 */
import type { Buffer } from 'node:buffer'
import { atCoordinates, binlogErrors } from './errors.ts'
import { EventStream, type BinlogEvent } from './event-stream.ts'
import { eventType } from './event-types.ts'
import { mariadbGtidFlag, parseMariadbGtidEvent, parseMysqlGtid, parseMysqlGtidTagged, type MysqlGtidEvent } from './gtid-events.ts'
import { PayloadEvents } from './payload.ts'
import { positionTextOf, type PositionParts } from './position-text.ts'
import { clientText } from './client-text.ts'
import { classifyQuery } from './query-classify.ts'
import { parseQueryEvent } from './query-event.ts'
import { dummyTableId, parseRowsHeader, RowsParts, type RowsShape } from './rows-event.ts'
import type { Group, GroupHeader } from './open-group.ts'
import { savepointName, Savepoints } from './savepoints.ts'
import type { BeginEvent, ChangeKind, Coordinates, GroupEnd, TableChooser, TailEvent, TailTable } from './source.ts'
import { TableCache } from './table-cache.ts'
import { controlOf } from './transaction-control.ts'
import { parseXaPrepare, xaStatement } from './xid.ts'

export type GroupDecoderOptions = {
  readonly start: PositionParts
  readonly checksum: boolean
  readonly table: TableChooser
  readonly partBytes?: number
  readonly payloadAtOnceBytesMax?: number
}

export class GroupDecoder {
  readonly #options: GroupDecoderOptions
  readonly #stream: EventStream
  readonly #position: PositionParts
  #group: Group | null = null
  #ready: TailEvent[] = []
  #parts: RowsParts | null = null
  #afterParts: GroupEnd | null = null
  #payload: { readonly events: PayloadEvents; readonly at: Coordinates } | null = null
  readonly #tables: TableCache
  readonly #savepoints = new Savepoints()
  #at: Coordinates
  #startedAt = 0

  constructor(options: GroupDecoderOptions) {
    this.#options = options
    const { start } = options
    this.#tables = new TableCache(options.table, start.kind === 'mariadb')
    this.#stream = new EventStream(options.checksum, start.at.file, start.at.offset)
    this.#at = start.at
    this.#position =
      start.kind === 'mysql'
        ? { ...start, executed: start.executed.clone() }
        : start.kind === 'mariadb'
          ? { ...start, state: start.state.clone() }
          : start
  }

  /** Name of the group at hand, for messages. */
  get gtid(): string {
    return this.#group?.gtid ?? 'none'
  }

  get at(): Coordinates {
    return this.#at
  }

  /** @param packet one whole event, kept until `poll` gave undefined; `room`: bytes behind it that nobody else uses, for a row of megabytes to be decoded where it is */
  feed(packet: Buffer, room = 0): void {
    this.#guard(() => this.#take(this.#stream.read(packet, room)))
  }

  poll(): TailEvent | undefined | 'unpack' {
    return this.#guard(() => {
      for (;;) {
        const released = this.#savepoints.next()
        if (released !== undefined) return released
        const event = this.#read()
        if (event === undefined || event === 'unpack') return event
        const free = this.#savepoints.take(event)
        if (free !== undefined) return free
      }
    })
  }

  #read(): TailEvent | undefined | 'unpack' {
    for (;;) {
      const ready = this.#ready.shift()
      if (ready !== undefined) return ready
      if (this.#parts !== null) {
        const part = this.#parts.next()
        if (part !== undefined) return part
        this.#parts = null
      }
      const end = this.#afterParts
      this.#afterParts = null
      if (end !== null) return end
      if (this.#payload === null) return undefined
      const inner = this.#payload.events.take()
      if (inner !== undefined) this.#take(this.#stream.readInner(inner, this.#payload.at))
      else if (this.#payload.events.done) this.#payload = null
      else return 'unpack'
    }
  }

  async unpack(): Promise<void> {
    try {
      await this.#payload?.events.fill()
    } catch (error) {
      throw atCoordinates(error, this.#at, this.gtid)
    }
  }

  close(): void {
    this.#payload?.events.close()
    this.#payload = null
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw atCoordinates(error, this.#at, this.gtid)
    }
  }

  #take(event: BinlogEvent): void {
    this.#at = event.at
    const { type, body, room, at } = event
    this.#startedAt = event.timestamp
    switch (type) {
      case eventType.formatDescription:
      case eventType.rotate:
        // Groups never span files: one that is open here was torn by a crash. (Artificial ones come between groups only, or at a new file.)
        if (this.#group !== null) this.#abandon(at)
        return
      case eventType.previousGtids:
      case eventType.mariadbGtidList:
      case eventType.mariadbBinlogCheckpoint:
      case eventType.stop:
      case eventType.rowsQuery:
      case eventType.mariadbAnnotate:
      case eventType.ignorable:
      case eventType.transactionContext:
      case eventType.viewChange:
        return
      case eventType.intvar:
      case eventType.rand:
      case eventType.userVar:
      case eventType.appendBlock:
      case eventType.beginLoadQuery:
      case eventType.deleteFile:
        // Parts of a logged statement: the query event that follows is what stops a stream.
        this.#inGroup('part of a logged statement')
        return
      case eventType.heartbeat:
      case eventType.heartbeatV2:
        if (this.#group === null) this.#ready.push({ kind: 'heartbeat', at: this.#stream.position })
        return
      case eventType.gtid:
      case eventType.anonymousGtid:
      case eventType.gtidTagged:
        this.#mysqlBegin(event)
        return
      case eventType.mariadbGtid:
        this.#mariadbBegin(event)
        return
      case eventType.query:
        this.#query(body, 'plain', at)
        return
      case eventType.mariadbQueryCompressed:
        this.#query(body, 'mariadbCompressed', at)
        return
      case eventType.executeLoadQuery:
        this.#query(body, 'loadData', at)
        return
      case eventType.xid:
        this.#endGroup(this.#inTransaction('the end of a transaction'), 'commit', null)
        return
      case eventType.xaPrepare:
        this.#xaPrepare(body)
        return
      case eventType.tableMap:
        this.#inGroup('a table map')
        this.#tables.map(body)
        return
      case eventType.writeRows:
      case eventType.updateRows:
      case eventType.deleteRows:
        this.#rows(body, 2, { change: changes[type - eventType.writeRows] as ChangeKind, compressed: false, at, room })
        return
      case eventType.writeRowsV1:
      case eventType.updateRowsV1:
      case eventType.deleteRowsV1:
        this.#rows(body, 1, { change: changes[type - eventType.writeRowsV1] as ChangeKind, compressed: false, at, room })
        return
      case eventType.mariadbWriteRowsCompressedV1:
      case eventType.mariadbUpdateRowsCompressedV1:
      case eventType.mariadbDeleteRowsCompressedV1:
        this.#rows(body, 1, { change: changes[type - eventType.mariadbWriteRowsCompressedV1] as ChangeKind, compressed: true, at, room: 0 })
        return
      case eventType.partialUpdateRows:
        this.#partialUpdate(body)
        return
      case eventType.transactionPayload:
        this.#inGroup('a compressed transaction')
        if (this.#payload !== null) throw binlogErrors.outOfPlace({ event: 'a compressed transaction', place: 'inside another' })
        this.#payload = { events: new PayloadEvents(body, this.#options.payloadAtOnceBytesMax), at }
        return
      case eventType.incident:
        throw binlogErrors.incident({ message: body.subarray(3, 3 + (body[2] ?? 0)).toString('utf8') })
      case eventType.mariadbStartEncryption:
        // Of the file; what follows is sent decrypted (10.11.19), or would fail its CRC32. Without those nothing would tell.
        if (!this.#stream.checked) throw binlogErrors.encrypted()
        return
      default:
        throw binlogErrors.unknownEvent({ type })
    }
  }

  #mysqlBegin(event: BinlogEvent): void {
    const { type, body, at } = event
    const header: MysqlGtidEvent = type === eventType.gtidTagged ? parseMysqlGtidTagged(body) : parseMysqlGtid(body)
    const position = this.#position
    let gtid: string
    let advance: () => void
    if (type === eventType.anonymousGtid) {
      gtid = `${at.file}:${at.offset}`
      if (position.kind !== 'file')
        throw binlogErrors.outOfPlace({ event: 'a transaction without GTID', place: 'on a server whose positions are GTIDs' })
      advance = () => {}
    } else {
      gtid = `${header.sid}:${header.number}`
      if (position.kind === 'mysql') {
        const { executed } = position
        advance = () => executed.add(header.sid, header.number)
      } else if (position.kind === 'file') advance = () => {}
      else throw binlogErrors.outOfPlace({ event: 'a MySQL GTID', place: 'in a MariaDB binlog' })
    }
    this.#begin(event, header.committedAtMs, header.groupBytes, { gtid, advance, standalone: false, mariadbXid: null, open: false })
  }

  #mariadbBegin(event: BinlogEvent): void {
    const { domain, sequence, flags, xid } = parseMariadbGtidEvent(event.body)
    const position = this.#position
    if (position.kind !== 'mariadb') throw binlogErrors.outOfPlace({ event: 'a MariaDB GTID', place: 'in a MySQL binlog' })
    const gtid = `${domain}-${event.serverId}-${sequence}`
    this.#begin(event, null, null, {
      gtid,
      advance: () => position.state.set(domain, gtid),
      standalone: (flags & mariadbGtidFlag.standalone) !== 0,
      mariadbXid: xid === null ? null : { xid, state: (flags & mariadbGtidFlag.preparedXa) !== 0 ? 'prepared' : 'completed' },
      open: (flags & mariadbGtidFlag.standalone) === 0,
    })
  }

  #begin(event: BinlogEvent, committedAtMs: number | null, groupBytes: number | null, header: GroupHeader): void {
    if (this.#group !== null)
      throw binlogErrors.outOfPlace({ event: `the beginning of ${header.gtid}`, place: `inside ${this.#group.gtid}` })
    this.#tables.endStatement()
    this.#savepoints.end('stand')
    const begin: BeginEvent = {
      kind: 'begin',
      gtid: header.gtid,
      serverId: event.serverId,
      committedAtMs: committedAtMs !== null && committedAtMs > 0 ? committedAtMs : event.timestamp * 1000,
      groupBytes: groupBytes === null || groupBytes === 0 ? null : groupBytes,
      at: event.at,
    }
    this.#ready.push(begin)
    const group: Group = { ...header, begin, xid: null, standing: false }
    this.#group = group
    if (group.mariadbXid?.state === 'prepared') this.#ready.push({ kind: 'xaStart', xid: group.mariadbXid.xid, at: event.at })
  }

  #query(body: Buffer, form: 'plain' | 'mariadbCompressed' | 'loadData', at: Coordinates): void {
    const group = this.#inGroup('a statement')
    const { schema, text, session } = parseQueryEvent(body, form)
    const control = form === 'loadData' ? null : controlOf(text)
    if (control === 'begin') {
      group.open = true
      return
    }
    if (control === 'savepoint') {
      this.#savepoints.set(savepointName(text))
      return
    }
    if (control === 'commit' && group.open) {
      this.#endGroup(group, 'commit', null)
      return
    }
    if (control === 'rollback' || control === 'rollbackTo') {
      const whole = control === 'rollback'
      if (group.standing || !(whole || this.#savepoints.back(savepointName(text))))
        throw binlogErrors.rolledBackRows({ statement: text.toString('latin1') })
      if (whole) this.#rolledBack(group, at)
      return
    }
    const xa = control === 'xa' ? xaStatement(text.toString('latin1')) : null
    if (xa !== null) {
      if (xa.verb === 'start') {
        group.open = true
        group.xid = xa.xid
        this.#ready.push({ kind: 'xaStart', xid: xa.xid, at })
      } else if (xa.verb === 'commit') this.#endGroup(group, 'xaCommit', xa.xid)
      else if (xa.verb === 'rollback') this.#endGroup(group, 'xaRollback', xa.xid)
      return
    }
    const statement =
      form === 'loadData'
        ? ({ kind: 'other', verb: 'LOAD DATA' } as const)
        : classifyQuery(clientText(text, session.charset?.client ?? null), schema, session.sqlMode)
    // After DDL the same bytes may describe other columns (a changed sign is not in every table map): ask again for each table.
    if (statement.kind === 'ddl') this.#tables.forget()
    this.#ready.push({ kind: 'query', statement, text, schema, session, startedAt: this.#startedAt, at })
    if (!group.open) this.#endGroup(group, 'commit', null)
  }

  #xaPrepare(body: Buffer): void {
    const group = this.#inTransaction('XA PREPARE')
    const { onePhase, xid } = parseXaPrepare(body)
    this.#endGroup(group, onePhase ? 'commit' : 'xaPrepare', xid)
  }

  #rows(body: Buffer, version: 1 | 2, shape: Omit<RowsShape, 'engineCascades'>): void {
    const group = this.#inGroup('a row event')
    const { tableId, endOfStatement, engineCascades, bodyAt } = parseRowsHeader(body, version)
    // The dummy id only ends a statement; a server that has counted so far gives it to a table too, whose map stands before its rows.
    const table = tableId === dummyTableId && !this.#tables.has(tableId) ? null : this.#tables.wanted(tableId)
    if (table === null) {
      // Skipped.
    } else if ('decoders' in table) {
      this.#parts = new RowsParts(body, bodyAt, table, { ...shape, engineCascades }, this.#options.partBytes)
    } else this.#name(table, shape.change, engineCascades, body.length)
    if (table !== null && !this.#tables.rollsBack(tableId)) group.standing = true
    if (!endOfStatement) return
    this.#tables.endStatement()
    // A standalone group has no end of its own; its end must come after the rows.
    if (group.standalone) {
      this.#endGroup(group, 'commit', null)
      this.#afterParts = this.#ready.pop() as GroupEnd
    }
  }

  #partialUpdate(body: Buffer): void {
    this.#inGroup('a row event')
    const { tableId, engineCascades } = parseRowsHeader(body, 2)
    const table = this.#tables.wanted(tableId)
    if (table === null) return
    if ('decoders' in table) throw binlogErrors.partialUpdate()
    this.#name(table, 'update', engineCascades, body.length)
  }

  #name(table: TailTable, change: ChangeKind, engineCascades: boolean, bytes: number): void {
    this.#ready.push({ kind: 'rows', table, change, length: 0, before: null, after: null, bytes, engineCascades, at: this.#at })
  }

  /** Of what a transaction did nothing happened; its GTID is used up. Who has been given rows of it forgets them, and is given an empty group. */
  #rolledBack(group: Group, at: Coordinates): void {
    const { rowsSeen } = this.#savepoints
    this.#savepoints.end('forgotten')
    if (rowsSeen) this.#ready.push({ kind: 'abandon', at }, group.begin)
    this.#endGroup(group, 'commit', null)
  }

  #endGroup(group: Group, kind: 'commit' | 'xaPrepare' | 'xaCommit' | 'xaRollback', xid: string | null): void {
    group.advance()
    this.#group = null
    this.#tables.endStatement()
    const at = this.#at
    const end = this.#stream.position
    const position = positionTextOf(this.#position, end)
    this.#savepoints.end('stand')
    if (kind === 'commit') this.#ready.push({ kind, position, at, end })
    else this.#ready.push({ kind, xid: xid ?? '', position, at, end })
  }

  #abandon(at: Coordinates): void {
    this.#group = null
    this.#tables.endStatement()
    this.#savepoints.end('forgotten')
    this.#ready.push({ kind: 'abandon', at })
  }

  #inGroup(event: string): Group {
    if (this.#group === null) throw binlogErrors.outOfPlace({ event, place: 'outside of any group' })
    return this.#group
  }

  #inTransaction(event: string): Group {
    const group = this.#inGroup(event)
    if (!group.open) throw binlogErrors.outOfPlace({ event, place: 'in a group without BEGIN' })
    return group
  }
}

const changes: readonly ChangeKind[] = ['insert', 'update', 'delete']
