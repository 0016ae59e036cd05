"""SQLAlchemy: tables made and reflected, rows with relations, transactions, errors that it must know. By the driver of the second argument."""
import datetime
import decimal
import sys

from sqlalchemy import JSON, Date, DateTime, ForeignKey, LargeBinary, Numeric, String, create_engine, func, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from driver import config, say


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    born: Mapped[datetime.date | None] = mapped_column(Date)
    data: Mapped[dict | None] = mapped_column(JSON)
    money: Mapped[decimal.Decimal | None] = mapped_column(Numeric(12, 2))
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    posts: Mapped[list["Post"]] = relationship(back_populates="user", cascade="all, delete-orphan", order_by="Post.id")

    def told(self):
        return [self.id, self.name, str(self.born), self.data, str(self.money), None if self.raw is None else self.raw.hex()]


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime.datetime | None] = mapped_column(DateTime)
    user: Mapped[User] = relationship(back_populates="posts")


driver = {"pymysql": "mysql+pymysql", "mysqlclient": "mysql+mysqldb", "connector": "mysql+mysqlconnector"}[sys.argv[2]]
url = URL.create(driver, config["user"], config["password"], config["host"], config["port"], config["database"], {"charset": "utf8mb4"})
tls = config["tls"]
secure = {"pymysql": {"ssl": {"ca": tls}}, "mysqlclient": {"ssl_mode": "VERIFY_CA", "ssl": {"ca": tls}}}.get(sys.argv[2], {"ssl_ca": tls})
plain = {"mysqlclient": {"ssl_mode": "DISABLED"}}.get(sys.argv[2], {})
engine = create_engine(url, connect_args=plain if tls is None else secure, pool_pre_ping=True)


def tell(case, outcome):
    say({"id": case, "form": "orm", "outcome": outcome})


Base.metadata.drop_all(engine)
Base.metadata.create_all(engine)
tell("tables", sorted(inspect(engine).get_table_names()))
tell("columns", [[c["name"], str(c["type"]), c["nullable"], str(c["default"])] for c in inspect(engine).get_columns("users")])
tell("keys", [inspect(engine).get_pk_constraint("posts"), inspect(engine).get_foreign_keys("posts"), inspect(engine).get_indexes("users")])
with Session(engine) as session:
    ann = User(name="Änn", born=datetime.date(1990, 2, 3), data={"a": [1, "ü"]}, money=decimal.Decimal("12.30"), raw=b"\x00\xff'")
    ann.posts = [Post(title="post %d" % i, at=datetime.datetime(2026, 1, 2, 3, 4, i)) for i in range(5)]
    session.add_all([ann, User(name="bob"), User(name="cid", money=5)])
    session.commit()
    tell("created", [user.told() for user in session.scalars(select(User).order_by(User.id))])
    tell("joined", [list(row) for row in session.execute(select(User.name, Post.title).join(Post).where(Post.title.like("post%")).order_by(Post.id.desc()).limit(3))])
    tell("counted", [list(row) for row in session.execute(select(User.name, func.count(Post.id)).outerjoin(Post).group_by(User.id, User.name).order_by(User.id))])
    ann.posts[0].title = "changed"
    ann.posts.pop()
    session.commit()
    tell("changed", [[post.id, post.title, str(post.at)] for post in session.scalars(select(Post).order_by(Post.id))])
    session.add(User(name="bob"))
    try:
        session.commit()
        tell("unique", "no error")
    except IntegrityError as error:
        session.rollback()
        tell("unique", error.orig.args[0])
    nested = session.begin_nested()
    session.add(User(name="dan"))
    session.flush()
    nested.rollback()
    tell("savepoint", session.scalar(select(func.count()).select_from(User)))
    tell("for update", session.scalars(select(User.name).where(User.id == 1).with_for_update()).all())
    session.rollback()
    tell("matched", session.execute(text("UPDATE users SET money = money WHERE id < :n"), {"n": 3}).rowcount)
    session.delete(session.get(User, 1))
    session.commit()
    tell("deleted", [session.scalar(select(func.count()).select_from(Post)), session.scalar(select(func.count()).select_from(User))])
with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
    tell("isolation", connection.get_isolation_level())
    tell("stream", sum(row.n for row in connection.execution_options(stream_results=True).execute(text("SELECT id AS n FROM users ORDER BY id"))))
Base.metadata.drop_all(engine)
engine.dispose()
