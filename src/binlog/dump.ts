/**
 * Asking a server for its binlog.
 *
 *     COM_REGISTER_SLAVE   0x15 | server id (4) | host, user, password (1 + bytes each) | port (2) | rank (4) | source id (4)
 *     COM_BINLOG_DUMP      0x12 | offset (4) | flags (2) | server id (4) | file
 *     COM_BINLOG_DUMP_GTID 0x1e | flags (2) | server id (4) | file length (4) file | offset (8) | set length (4) set
 */
import { Buffer } from 'node:buffer'
import type { Connection } from '../mysql/connection.ts'
import { binlogErrors } from './errors.ts'
import type { PositionParts } from './position-text.ts'

const throughGtid = 4
const firstOffset = 4
/** How long a server may wait for us to read. */
const unreadS = 7 * 86_400

/** The dump thread reads these session variables when it starts. Semi-sync is never asked for: we do not acknowledge. */
export async function prepareDump(
  connection: Connection,
  server: string,
  start: PositionParts,
  heartbeatMs: number,
  replicaUuid: string,
): Promise<{ checksum: boolean }> {
  const flavour = start.kind === 'mariadb' ? 'mariadb' : 'mysql'
  if (connection.flavour !== flavour) throw binlogErrors.badPosition({ flavour: connection.flavour, position: start.kind })
  if ((await connection.value('SELECT @@global.log_bin')) !== '1') throw binlogErrors.binlogOff({ server })
  const heartbeatNs = BigInt(Math.round(heartbeatMs)) * 1_000_000n
  const checksum = (await connection.value('SELECT @@global.binlog_checksum')) !== 'NONE'
  const algorithm = checksum ? 'CRC32' : 'NONE'
  const sets = [`@master_heartbeat_period=${heartbeatNs}`, `@master_binlog_checksum='${algorithm}'`]
  if (start.kind === 'mariadb') {
    // 4: understands GTIDs. Strict: refuse to start at a GTID that the binlog lacks, rather than near it.
    sets.push(
      '@mariadb_slave_capability=4',
      `@slave_connect_state='${start.state.toString()}'`,
      '@slave_gtid_strict_mode=1',
      '@slave_gtid_ignore_duplicates=0',
    )
  } else {
    sets.push(`@source_heartbeat_period=${heartbeatNs}`, `@source_binlog_checksum='${algorithm}'`)
    // Two readers of one uuid end each other.
    sets.push(`@slave_uuid='${replicaUuid}'`, `@replica_uuid='${replicaUuid}'`)
  }
  await connection.query(`SET ${sets.join(', ')}`)
  // A reader that stands still, while keys are rebuilt for hours, is no dead one: the server would drop it after a minute. One that is gone is told by TCP, whose probes it does not answer.
  await connection.query(`SET SESSION net_write_timeout=${unreadS}`)
  if (start.kind === 'file') {
    const uuid = await connection.value('SELECT @@global.server_uuid')
    if (uuid !== start.serverUuid)
      throw binlogErrors.otherServer({ server, position: `${start.at.file}:${start.at.offset} of ${start.serverUuid}` })
  }
  return { checksum }
}

export function registerReplicaCommand(serverId: number): Buffer {
  const host = 'shardwright'
  const payload = Buffer.alloc(1 + 4 + 1 + host.length + 1 + 1 + 2 + 4 + 4)
  payload[0] = 0x15
  payload.writeUInt32LE(serverId, 1)
  payload[5] = host.length
  payload.write(host, 6, 'latin1')
  return payload
}

export function dumpCommand(start: PositionParts, serverId: number): Buffer {
  if (start.kind === 'mysql') {
    const set = start.executed.encode()
    const payload = Buffer.alloc(1 + 2 + 4 + 4 + 8 + 4)
    payload[0] = 0x1e
    payload.writeUInt16LE(throughGtid, 1)
    payload.writeUInt32LE(serverId, 3)
    payload.writeUInt32LE(0, 7)
    payload.writeBigUInt64LE(BigInt(firstOffset), 11)
    payload.writeUInt32LE(set.length, 19)
    return Buffer.concat([payload, set])
  }
  const file = start.kind === 'file' ? start.at.file : ''
  const payload = Buffer.alloc(1 + 4 + 2 + 4)
  payload[0] = 0x12
  payload.writeUInt32LE(start.kind === 'file' ? start.at.offset : firstOffset, 1)
  payload.writeUInt32LE(serverId, 7)
  return Buffer.concat([payload, Buffer.from(file, 'utf8')])
}
