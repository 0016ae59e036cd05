/** An ORM's own statements: tables made and read back, rows with relations, transactions, an error that it must know. */
import { readFileSync } from 'node:fs'
import { config } from './driver.ts'

const { Sequelize, DataTypes, Op, UniqueConstraintError } = (await import(process.argv[3] as string)).default
const { host, port, user, password, database, tls } = config
const db = new Sequelize(database, user, password, {
  host,
  port,
  dialect: 'mysql',
  logging: false,
  ...(tls === null ? {} : { dialectOptions: { ssl: { ca: readFileSync(tls) } } }),
})
const say = (id: string, outcome: unknown): void => void process.stdout.write(`${JSON.stringify({ id, form: 'orm', outcome })}\n`)
const User = db.define(
  'user',
  { name: { type: DataTypes.STRING(40), unique: true }, born: DataTypes.DATEONLY, data: DataTypes.JSON, money: DataTypes.DECIMAL(12, 2) },
  { timestamps: false },
)
const Post = db.define(
  'post',
  { title: DataTypes.STRING, seen: { type: DataTypes.INTEGER, defaultValue: 0 }, at: DataTypes.DATE(3) },
  { timestamps: false },
)
User.hasMany(Post)
Post.belongsTo(User)
await db.sync({ force: true })
const described = await db.getQueryInterface().describeTable('users')
say('describe', described)
say('indexes', await db.getQueryInterface().showIndex('users'))
say('tables', (await db.getQueryInterface().showAllTables()).toSorted())
const plain = (rows: { get(o: object): unknown }[]): unknown => rows.map((row) => row.get({ plain: true }))
const ann = await User.create({ name: 'Änn', born: '1990-02-03', data: { a: [1, 'ü'] }, money: '12.30' })
const made = await User.bulkCreate([{ name: 'bob' }, { name: 'cid', money: 5 }])
say('created', plain([ann, ...made]))
for (let i = 0; i < 5; i++) await ann.createPost({ title: `post ${i}`, at: new Date(1_700_000_000_000 + i) })
say('joined', plain(await User.findAll({ include: [{ model: Post }], order: ['id', [Post, 'id', 'DESC']] })))
say(
  'where',
  plain(
    await Post.findAll({
      where: { title: { [Op.like]: 'post%' }, id: { [Op.between]: [2, 4] } },
      order: [
        ['seen', 'ASC'],
        ['id', 'DESC'],
      ],
      limit: 2,
      offset: 1,
    }),
  ),
)
say('updated', await Post.update({ seen: 7 }, { where: { id: [1, 2] } }))
say(
  'incremented',
  (await Post.increment('seen', { by: 2, where: { seen: 7 } }), plain(await Post.findAll({ where: { seen: 9 }, order: ['id'] }))),
)
say('count', [
  await Post.count(),
  await Post.sum('seen'),
  await Post.max('title'),
  await User.findAndCountAll({ limit: 1, order: ['id'] }).then((r: { count: number }) => r.count),
])
say(
  'found or made',
  (await User.findOrCreate({ where: { name: 'dan' }, defaults: { money: 1 } })).map(
    (one: { get?: (o: object) => unknown }) => one.get?.({ plain: true }) ?? one,
  ),
)
say('upsert', (await User.upsert({ name: 'dan', money: 2 }), plain(await User.findAll({ where: { name: 'dan' } }))))
say(
  'unique',
  await User.create({ name: 'bob' }).then(
    () => 'no error',
    (error: unknown) => error instanceof UniqueConstraintError,
  ),
)
say(
  'transaction',
  await db.transaction(
    async (transaction: object) => (await User.create({ name: 'eve' }, { transaction }), await User.count({ transaction })),
  ),
)
await db
  .transaction(async (transaction: object) => {
    await User.destroy({ where: {}, transaction })
    throw new Error('back')
  })
  .catch(() => {})
say('rolled back', await User.count())
say('raw', await db.query('SELECT name FROM users WHERE id = :id', { replacements: { id: 1 }, type: 'SELECT' }))
say('bound', await db.query('SELECT name FROM users WHERE id = $1', { bind: [2], type: 'SELECT' }))
say('destroyed', await Post.destroy({ where: { id: { [Op.gt]: 3 } } }))
await db.drop()
await db.close()
