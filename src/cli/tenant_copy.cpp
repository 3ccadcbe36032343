#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/life.h"
#include "cli/options.h"
#include "cli/registration.h"
#include "cli/signals.h"
#include "migrate/copy_script.h"
#include "migrate/held_schema.h"
#include "output/life_writer.h"
#include "pq/server_error.h"
#include "tenant/gate.h"
#include "tenant/plumbing.h"
#include "tenant/tenant_file.h"

namespace tenantctl::cli {
namespace {

struct CopyOptions {
  std::string name;  ///< tenant, by slug or schema
  std::string file;
  std::string to;  ///< the copy's schema
  std::string pg_bin;
  bool without_grants = false;
  bool forces = false;
  NewcomerOptions newcomer;
};

// PostgreSQL's programs work in a session from beginning to end.
pq::ConnectOptions direct_options(const Context& context, const Session& session) {
  const Settings& settings = context.settings;
  if (session.via_pooler() && settings.direct_url.empty()) {
    throw UsageError(fmt::format("{} cannot work through a pooler", context.command),
                     "Name a connection past the pooler with --direct-url.");
  }
  return {.url = settings.direct_url.empty() ? settings.database_url : settings.direct_url,
          .application_name = "tenantctl/" + session.run_id().substr(0, 8) + "/copy",
          .timeout = settings.connect_timeout,
          .role = settings.role};
}

/// PostgreSQL's client programs, found before anything is done.
class Tools {
 public:
  Tools(const CopyOptions& options, const pq::Connection& connection)
      : options_(options),
        variables_(connection.environment()),
        role_(connection.role()),
        server_(connection.server_version() / 10000) {}

  ProgramCall dump(const std::string& schema, const HeldSchema::Snapshot& snapshot,
                   const std::string& format) const {
    ProgramCall call{.path = find_program("pg_dump", options_.pg_bin),
                     .arguments = {"--schema=" + quote_identifier(schema), "--strict-names",
                                   "--format=" + format, "--snapshot=" + snapshot.name,
                                   "--no-owner", "--no-tablespaces", "--no-publications",
                                   "--no-subscriptions", "--no-password"},
                     .variables = variables_};
    if (!role_.empty())
      call.arguments.push_back("--role=" + role_);
    const int version = major_version(call.path);
    if (version < server_) {
      throw UsageError(
          fmt::format("{} is of PostgreSQL {}, the server of {}: an older pg_dump does not know "
                      "all there may be",
                      escaped_name(call.path), version, server_),
          "--pg-bin names the folder of PostgreSQL's client programs of the server's version.");
    }
    if (format == "plain")
      add_grants(call);
    return call;
  }

  ProgramCall restore() const {
    ProgramCall call{.path = find_program("pg_restore", options_.pg_bin),
                     .arguments = {"--format=custom", "--file=-", "--no-owner", "--no-tablespaces",
                                   "--no-publications", "--no-subscriptions", "--exit-on-error"},
                     .variables = {}};
    add_grants(call);
    return call;
  }

  ProgramCall psql() const {
    return {.path = find_program("psql", options_.pg_bin),
            .arguments = {"--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
                          "--field-separator=\t", "--set=ON_ERROR_STOP=1",
                          "--set=VERBOSITY=verbose", "--no-password", "--file=-"},
            .variables = variables_};
  }

 private:
  void add_grants(ProgramCall& call) const {
    if (options_.without_grants)
      call.arguments.emplace_back("--no-privileges");
  }

  const CopyOptions& options_;
  std::vector<std::pair<std::string, std::string>> variables_;
  std::string role_;
  int server_;
};

bool is_interrupted() { return signal_count() > 0; }

// Where in the server's source an error comes from, which psql tells with everything: it says what
// the error is about in every language, and nothing to a person.
std::string without_location(const std::string& text) {
  std::string kept;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.find(".c:") == std::string::npos || line.find(", ") == std::string::npos)
      kept += line + '\n';
    at = end + 1;
  }
  return kept;
}

// A tenant with a role of its own is often exported to where nobody is called so.
void refuse_absent_role(const std::string& words) {
  const bool is_absent = words.find("get_role_oid, acl.c:") != std::string::npos ||
                         words.find("get_rolespec_oid, acl.c:") != std::string::npos;
  if (!is_absent)
    return;
  const std::size_t error = words.find("42704");
  const std::string text = error == std::string::npos ? words : words.substr(error);
  throw Error(fmt::format("a role that the tenant granted something to is not here: {}",
                          single_line(text.substr(0, text.find('\n')))),
              "Nothing was kept. --no-grants leaves out who may do what; --runtime-role NAME, or "
              "per-tenant, says as whom the tenant's sessions are to work here.");
}

// A program's words: the first that tell of an error, without what psql says of where it read.
std::string words_of(const ChildProcess& child) {
  const std::string text = without_location(child.error_text());
  const std::size_t error = text.find("ERROR:");
  const std::size_t begin = error == std::string::npos ? 0 : error;
  std::string words = told(text.substr(begin, 2000));
  while (!words.empty() && words.back() == '\n')
    words.pop_back();
  return words.empty() ? "it said nothing" : words;
}

[[noreturn]] void fail(const ChildProcess& child) {
  throw Error(fmt::format("{} failed: {}", child.name(), words_of(child)),
              "Nothing was kept; what PostgreSQL's program says is to be mended.");
}

Named find_source(const Context& context, Session& session, TenantRegistry& registry,
                  const std::string& name) {
  Named tenant = find_named(registry, {name}).front();
  refuse_elsewhere(
      context, tenant,
      tenant.row && tenant.row->has_rows()
          ? "tenantctl tenant move NAME --to schema gives it one; what no policy keeps apart there "
            "can be copied then. COPY (SELECT ... WHERE tenant_id = ...) takes its rows out as "
            "they "
            "are."
          : "pg_dump of its database takes all of it along; createdb --template copies "
            "one that nobody is connected to.");
  if (tenant.row && tenant.row->state == "deleting") {
    throw UsageError(fmt::format("tenant {} is deleting", tenant.row->slug),
                     "tenantctl tenant undrop brings it back.");
  }
  const FoundSchema::State state = session.schemas({tenant.schema}).schemas.front().state;
  const bool is_shared = tenant.schema == context.settings.shared_schema;
  if (is_shared || state != FoundSchema::State::ours) {
    throw UsageError(
        fmt::format("\"{}\" is no tenant: {}", escaped_name(name),
                    is_shared                              ? "it holds the shared scope"
                    : state == FoundSchema::State::missing ? "there is no such schema"
                                                           : "it has no version table of ours"),
        "tenantctl tenant list shows all.");
  }
  if (asks_the_gate(session.pipeline(), tenant.schema, session.deadline())) {
    throw UsageError(
        fmt::format(
            "rows in {} say whose they are, as rows protect has it: in a copy nobody would see "
            "them",
            tenant.schema),
        "tenant move takes the tenant itself elsewhere, with every row. A copy for somebody else "
        "has his id in the tenant column: create the tenant, enter it, and INSERT the rows without "
        "that column. pg_dump --schema saves them as they are.");
  }
  return tenant;
}

ExitCode run_export(const Context& context, const CopyOptions& options) {
  SchemaName::existing(options.name);
  Session session(context);
  TenantRegistry registry = tenant_registry(context, session);
  const Named tenant = find_source(context, session, registry, options.name);
  NewTenantFile file(context.path(options.file).string());
  const VersionTable table(SchemaName::existing(tenant.schema),
                           table_options(context.settings, session.run_id()));
  HeldSchema held(direct_options(context, session), table, session.deadline());
  const HeldSchema::Snapshot snapshot = held.take(session.deadline());
  watch_signals();
  const Tools tools(options, held.connection());
  ChildProcess dump(tools.dump(tenant.schema, snapshot, "custom"), ChildProcess::Pipes::output);
  pump({{.from = &dump.output(), .on_bytes = [&file](std::string_view bytes) { file.add(bytes); }}},
       is_interrupted);
  if (!dump.wait())
    fail(dump);
  const TenantFileHeader header =
      file.finish({.slug = tenant.row ? tenant.row->slug : "",
                   .schema = tenant.schema,
                   .version_table = context.settings.version_table,
                   .runtime_role = tenant.row ? tenant.row->runtime_role : "",
                   .mark = snapshot.mark,
                   .created_at = snapshot.at,
                   .tool_version = TENANTCTL_VERSION,
                   .server_version = held.connection().server_version()});
  write_export(*context.out, context.settings.output, {.file = options.file, .header = header});
  return ExitCode::ok;
}

/// A new tenant out of a dump, from its registration to its end.
class Copying {
 public:
  Copying(const Context& context, Session& session, const CopyOptions& options)
      : context_(context), session_(session), registration_(context, options.newcomer) {}

  /// Throws UsageError unless the copy's name is free. False if an import that was killed had made
  /// all of it: then only its row is to be completed.
  bool begin(const std::string& to) {
    SchemaName::create(to);
    if (to == context_.settings.shared_schema)
      throw UsageError(fmt::format("{} holds the shared scope", to), "Use another name.");
    const Fleet fleet = session_.schemas({to});
    registration_.read(session_, fleet, {0});
    const FoundSchema::State state = fleet.schemas.front().state;
    const bool is_whole = state == FoundSchema::State::ours && registration_.is_unfinished(to);
    if (state != FoundSchema::State::missing && !is_whole) {
      throw UsageError(fmt::format("a schema of that name is there already: {}", to),
                       "Name the copy otherwise; nothing was changed.");
    }
    registration_.begin(session_);
    return !is_whole;
  }

  /// What came of psql; the transaction is over by then.
  TenantClone conclude(const CopyScript& script, ChildProcess& psql, ChildProcess& source) {
    const bool is_restored = psql.wait();
    const bool is_read = source.wait();
    TenantClone copy{.from = script.from,
                     .to = script.to,
                     .forced = script.forces,
                     .texts = CopyScript::texts_in(psql.output_text())};
    const std::string words = psql.error_text();
    const auto says = [&words](std::string_view code) {
      return words.find(fmt::format("tenantctl {}:", code)) != std::string::npos;
    };
    if (is_restored && is_read)
      return copy;
    if (says(refusal::named))
      return copy;
    if (says(refusal::moved)) {
      throw Error("what was restored has not the version table that was dumped",
                  "Nothing was kept; was the file written with another --version-table?");
    }
    // Whoever reads what nobody writes any more fails of that alone.
    refuse_absent_role(words);
    fail(is_restored || source.error_text().find("ERROR") != std::string::npos ? source : psql);
  }

  void end(const std::string& to, bool is_done) {
    if (!is_done) {
      registration_.abandon(session_);
      return;
    }
    Report report;
    SchemaReport schema;
    schema.schema = to;
    schema.result = Result::applied;
    schema.steps = 1;
    report.schemas.push_back(std::move(schema));
    registration_.grant(session_, report);
    undo_failed_tenants(context_, session_, report);
    registration_.drop_roles(session_, report);
    registration_.end(session_, report);
    if (const auto& failure = report.schemas.front().failure)
      throw Error(fmt::format("{}: {}", to, failure->message), failure->hint);
  }

  template <typename Restore>
  ExitCode run(const std::string& to, const std::string& from, const Restore& restore) {
    TenantClone copy{.from = from, .to = to};
    if (begin(to)) {
      try {
        copy = restore();
      } catch (const Error&) {
        end(to, false);
        throw;
      }
    }
    end(to, copy.is_done());
    write_copy(*context_.out, *context_.err, context_.settings.output, context_.command, copy);
    return copy.is_done() ? ExitCode::ok : ExitCode::failed;
  }

 private:
  const Context& context_;
  Session& session_;
  Registration registration_;
};

CopyScript script_of(const Context& context, const CopyOptions& options, const std::string& from,
                     const std::string& mark, const Session& session) {
  return {.from = from,
          .to = options.to,
          .version_table = context.settings.version_table,
          .mark = mark,
          .shared_schema = context.settings.shared_schema,
          .forces = options.forces,
          .server_version = session.server_version(),
          .readers = session.status_roles(),
          .role = context.settings.role};
}

// The copy must not be open to whom the source alone belongs.
void keep_grants_apart(const Context& context, const std::string& tenant, const std::string& role,
                       CopyOptions& options) {
  if (options.without_grants || role.empty())
    return;
  options.without_grants = true;
  if (!context.settings.quiet) {
    *context.err << fmt::format(
        "tenantctl: notice: {} has a runtime role of its own: its grants are not copied\n",
        escaped_name(tenant));
  }
}

ExitCode run_clone(const Context& context, const CopyOptions& given) {
  CopyOptions options = given;
  check_newcomer(options.newcomer, 1);
  SchemaName::existing(options.name);
  SchemaName::create(options.to);
  Session session(context);
  TenantRegistry registry = tenant_registry(context, session);
  const Named source = find_source(context, session, registry, options.name);
  if (source.row)
    keep_grants_apart(context, source.row->slug, source.row->runtime_role, options);
  const VersionTable table(SchemaName::existing(source.schema),
                           table_options(context.settings, session.run_id()));
  HeldSchema held(direct_options(context, session), table, session.deadline());
  const Tools tools(options, held.connection());
  Copying copying(context, session, options);
  watch_signals();
  return copying.run(options.to, source.schema, [&] {
    const HeldSchema::Snapshot snapshot = held.take(session.deadline());
    CopyScript script = script_of(context, options, source.schema, snapshot.mark, session);
    script.collides = true;
    const ProgramCall psql_call = tools.psql();
    ChildProcess dump(tools.dump(source.schema, snapshot, "plain"), ChildProcess::Pipes::output);
    ChildProcess psql(psql_call, ChildProcess::Pipes::input);
    pump({{.from = &dump.output(),
           .to = &psql.input(),
           .before = script.before(),
           .at_end = [&] { return dump.wait() ? script.after() : std::string(); }}},
         is_interrupted);
    return copying.conclude(script, psql, dump);
  });
}

ExitCode run_import(const Context& context, const CopyOptions& given) {
  CopyOptions options = given;
  check_newcomer(options.newcomer, 1);
  TenantFile file = TenantFile::open(context.path(options.file).string());
  const std::string from = SchemaName::existing(file.header.schema).text();
  if (options.to.empty())
    options.to = from;
  keep_grants_apart(context, file.header.slug, file.header.runtime_role, options);
  if (file.header.version_table != context.settings.version_table) {
    throw UsageError(fmt::format("the file's version table is {}, not {}",
                                 escaped_name(file.header.version_table),
                                 escaped_name(context.settings.version_table)),
                     "Give --version-table as it was when the tenant was exported.");
  }
  Session session(context);
  const bool collides = options.to != from && session.schemas({from}).schemas.front().state !=
                                                  FoundSchema::State::missing;
  const VersionTable table(SchemaName::existing(from),
                           table_options(context.settings, session.run_id()));
  const pq::ConnectOptions direct = direct_options(context, session);
  // Whoever has the name meanwhile is not migrated under us.
  std::optional<HeldSchema> held;
  std::optional<pq::Connection> plain;
  if (collides)
    held.emplace(direct, table, session.deadline());
  else
    plain = pq::Connection::open(direct);
  const pq::Connection& connection = collides ? held->connection() : *plain;
  const Tools tools(options, connection);
  Copying copying(context, session, options);
  watch_signals();
  return copying.run(options.to, from, [&] {
    CopyScript script = script_of(context, options, from, file.header.mark, session);
    script.collides = collides;
    const ProgramCall psql_call = tools.psql();
    ChildProcess restore(tools.restore(), ChildProcess::Pipes::both);
    ChildProcess psql(psql_call, ChildProcess::Pipes::input);
    pump({{.from = &file.payload, .to = &restore.input()},
          {.from = &restore.output(),
           .to = &psql.input(),
           .before = script.before(),
           .at_end = [&] { return restore.wait() ? script.after() : std::string(); }}},
         is_interrupted);
    return copying.conclude(script, psql, restore);
  });
}

void describe_programs(CLI::App& command, Context& context, CopyOptions& options) {
  add_setting(command, "--pg-bin", options.pg_bin,
              "folder of pg_dump, pg_restore and psql; else they are looked for in PATH");
  describe_question(command, context.settings);
}

void describe_copy(CLI::App& command, CopyOptions& options) {
  add_switch(command, "--no-grants", options.without_grants,
             "leave out who may do what: roles may be others here");
  add_switch(command, "--force", options.forces, "although functions or literals say the old name");
  describe_newcomer(command, options.newcomer);
}

}  // namespace

void add_tenant_export(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("export", "write a tenant into a file, by pg_dump, at one moment");
  auto options = std::make_shared<CopyOptions>();
  command->add_option("NAME", options->name, "tenant, by slug or schema")->required();
  add_setting(*command, "-f,--file", options->file, "file to write")->required();
  describe_programs(*command, context, *options);
  add_example(*command, "tenantctl tenant export acme --file acme.tenant");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_export(context, *options); };
  });
}

void add_tenant_import(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("import", "a tenant out of such a file, wholly or not at all");
  auto options = std::make_shared<CopyOptions>();
  command->add_option("FILE", options->file, "file that tenant export wrote")->required();
  add_setting(*command, "--as", options->to, "its schema's name; else the one that it had");
  describe_copy(*command, *options);
  describe_programs(*command, context, *options);
  add_example(*command, "tenantctl tenant import acme.tenant --as acme_copy");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_import(context, *options); };
  });
}

void add_tenant_clone(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("clone", "a second tenant with all that one has at this moment");
  auto options = std::make_shared<CopyOptions>();
  command->add_option("NAME", options->name, "tenant, by slug or schema")->required();
  command->add_option("NEW", options->to, "the copy's schema")->required();
  describe_copy(*command, *options);
  describe_programs(*command, context, *options);
  add_example(*command, "tenantctl tenant clone acme acme_test");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_clone(context, *options); };
  });
}

}  // namespace tenantctl::cli
