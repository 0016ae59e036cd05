import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.sql.*;
import java.util.*;

/** Connector/J: the cases come one a line, tab between the parts, as the runner wrote them: id, form, statement, parameters as type:value. */
public class Cases {
  public static void main(String[] args) throws Exception {
    Class.forName("com.mysql.cj.jdbc.Driver");
    Properties settings = new Properties();
    try (var in = Files.newBufferedReader(Path.of(args[0]))) {
      settings.load(in);
    }
    String url = settings.getProperty("url");
    boolean cursors = url.contains("useCursorFetch=true");
    try (Connection connection = DriverManager.getConnection(url, settings.getProperty("user"), settings.getProperty("password"))) {
      for (String line : Files.readAllLines(Path.of(settings.getProperty("cases")))) {
        String[] parts = line.split("\t", -1);
        StringBuilder out = new StringBuilder("{\"id\":" + json(parts[0]) + ",\"form\":" + json(parts[1]));
        try {
          run(connection, parts, cursors, out);
        } catch (SQLException error) {
          out.append(",\"errno\":").append(error.getErrorCode()).append(",\"sqlState\":").append(json(error.getSQLState()));
          if (error.getErrorCode() == 0) out.append(",\"failed\":").append(json(error.toString()));
        }
        System.out.println(out.append("}"));
      }
    }
  }

  static void run(Connection connection, String[] parts, boolean cursors, StringBuilder out) throws SQLException {
    String sql = unescape(parts[2]);
    boolean prepared = parts.length > 3 || parts[1].equals("prepared");
    try (Statement statement = prepared ? connection.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS) : connection.createStatement()) {
      if (cursors) statement.setFetchSize(7);
      boolean rows;
      if (statement instanceof PreparedStatement filled) {
        for (int i = 3; i < parts.length; i++) set(filled, i - 2, parts[i]);
        rows = filled.execute();
      } else rows = statement.execute(sql, Statement.RETURN_GENERATED_KEYS);
      if (rows) {
        try (ResultSet result = statement.getResultSet()) {
          tell(result, out);
        }
      } else {
        out.append(",\"affected\":").append(statement.getUpdateCount());
        try (ResultSet keys = statement.getGeneratedKeys()) {
          out.append(",\"keys\":[");
          for (boolean first = true; keys.next(); first = false) out.append(first ? "" : ",").append(json(keys.getString(1)));
          out.append("]");
        }
      }
      int warnings = 0;
      for (SQLWarning w = statement.getWarnings(); w != null; w = w.getNextWarning()) warnings++;
      out.append(",\"warnings\":").append(warnings);
    }
  }

  static void set(PreparedStatement statement, int i, String param) throws SQLException {
    int colon = param.indexOf(':');
    String value = unescape(param.substring(colon + 1));
    switch (param.substring(0, colon)) {
      case "null" -> statement.setNull(i, Types.NULL);
      case "int" -> {
        BigInteger n = new BigInteger(value);
        if (n.bitLength() < 64) statement.setLong(i, n.longValue());
        else statement.setBigDecimal(i, new BigDecimal(n));
      }
      case "double" -> statement.setDouble(i, Double.parseDouble(value));
      case "bytes" -> statement.setBytes(i, HexFormat.of().parseHex(value));
      case "decimal" -> statement.setBigDecimal(i, new BigDecimal(value));
      case "bool" -> statement.setBoolean(i, value.equals("true"));
      case "date" -> statement.setObject(i, java.time.LocalDate.parse(value));
      case "datetime" -> statement.setObject(i, java.time.LocalDateTime.parse(value.replace(' ', 'T')));
      case "time" -> statement.setObject(i, java.time.LocalTime.parse(value));
      default -> statement.setString(i, value);
    }
  }

  static void tell(ResultSet result, StringBuilder out) throws SQLException {
    ResultSetMetaData meta = result.getMetaData();
    out.append(",\"columns\":[");
    for (int i = 1; i <= meta.getColumnCount(); i++) {
      List<Object> said = Arrays.asList(meta.getCatalogName(i), meta.getTableName(i), meta.getColumnName(i), meta.getColumnLabel(i), meta.getColumnTypeName(i), meta.getColumnClassName(i), meta.getPrecision(i), meta.getScale(i), meta.isNullable(i), meta.isAutoIncrement(i), meta.isSigned(i), meta.isCaseSensitive(i));
      out.append(i == 1 ? "" : ",").append(json(said.toString()));
    }
    out.append("],\"rows\":[");
    for (boolean first = true; result.next(); first = false) {
      out.append(first ? "[" : ",[");
      for (int i = 1; i <= meta.getColumnCount(); i++) out.append(i == 1 ? "" : ",").append(cell(result, i));
      out.append("]");
    }
    out.append("]");
  }

  static String cell(ResultSet result, int i) throws SQLException {
    Object value = result.getObject(i);
    if (value == null) return "null";
    if (value instanceof byte[] bytes) return json("bytes " + brief(HexFormat.of().formatHex(bytes)));
    return json(value.getClass().getSimpleName() + " " + brief(value.toString()));
  }

  static String brief(String text) {
    if (text.length() <= 200) return text;
    try {
      return text.length() + " " + HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(text.getBytes(StandardCharsets.UTF_8)));
    } catch (java.security.NoSuchAlgorithmException error) {
      throw new IllegalStateException(error);
    }
  }

  static String unescape(String text) {
    return text.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r").replace("\\b", "\\");
  }

  static String json(String text) {
    if (text == null) return "null";
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < 0x20) out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }
}
