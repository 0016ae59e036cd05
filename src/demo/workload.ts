/** The story's table, and the rows that were there before anybody thought of sharding: a pure function of their number. */
export const database = 'musclemaker_log'
export const table = 'exercise_log'

/**
 * `by_op` finds a row by what the application knows of it, and locks that row alone. Without it an UPDATE locked all rows of its user, and two operations on
 * one user, one of them a transaction, could be a deadlock (1213) of the application's own making.
 */
export const createTable = `CREATE TABLE ${table} (
  log_id BIGINT NOT NULL AUTO_INCREMENT,
  user_id BIGINT NOT NULL,
  exercise VARCHAR(64) NOT NULL,
  reps INT NOT NULL,
  weight_kg DECIMAL(6,2) NOT NULL,
  note VARCHAR(255) NULL,
  op BIGINT NOT NULL,
  version INT NOT NULL DEFAULT 0,
  logged_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (log_id),
  KEY by_user (user_id, log_id),
  UNIQUE KEY by_op (user_id, op)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`

export const usersCount = 20_000
const exercises = ['squat', 'deadlift', 'bench press', 'overhead press', 'row', 'pull-up', 'dip', 'lunge']

export function userOf(logId: number): number {
  return 1 + ((logId * 7919) % usersCount)
}

export function repsOf(logId: number): number {
  return 1 + (logId % 12)
}

export function exerciseOf(n: number): string {
  return exercises[n % exercises.length] ?? 'squat'
}

export function seedRow(logId: number): string {
  const note = logId % 5 === 0 ? 'NULL' : `'set ${logId} of a long year, felt ${logId % 3 === 0 ? 'heavy' : 'light'}'`
  return `(${logId},${userOf(logId)},'${exerciseOf(logId)}',${repsOf(logId)},${20 + (logId % 160)}.${logId % 2 === 0 ? '50' : '25'},${note},${-logId})`
}

export const seedColumns = '(log_id,user_id,exercise,reps,weight_kg,note,op)'

/** The vschema of the story: rows of one user stand together; ids come from a sequence. */
export function vschema(sequence: string): Record<string, unknown> {
  return {
    sharded: true,
    vindexes: { by_user: { type: 'hash' } },
    tables: { [table]: { column_vindexes: [{ column: 'user_id', name: 'by_user' }], auto_increment: { column: 'log_id', sequence } } },
  }
}
