#include <doctest/doctest.h>

#include "base/error.h"
#include "tenant/tenant_file.h"

using namespace tenantctl;

TEST_SUITE("tenant/tenant_file") {
  TEST_CASE("a header reads back as it was written, odd names and all") {
    const TenantFileHeader written{.slug = "acme-1",
                                   .schema = "a\\n\nb: c\"",
                                   .version_table = "tenantctl_version",
                                   .mark = "tenantctl 1 scope=tenant head=1 count=1",
                                   .created_at = "2026-11-29T05:00:00Z",
                                   .tool_version = "0.1.0",
                                   .server_version = 150018,
                                   .payload_size = 12345678901,
                                   .sha256 = std::string(64, 'a')};
    const std::string text = written.text();
    CHECK(text.size() == TenantFileHeader::size);
    CHECK(text.back() == '\n');
    const TenantFileHeader read = TenantFileHeader::parse(text);
    CHECK(read.slug == written.slug);
    CHECK(read.schema == written.schema);
    CHECK(read.mark == written.mark);
    CHECK(read.server_version == written.server_version);
    CHECK(read.payload_size == written.payload_size);
    CHECK(read.sha256 == written.sha256);
  }

  TEST_CASE("other files and later formats are refused") {
    CHECK_THROWS_AS(TenantFileHeader::parse(""), UsageError);
    CHECK_THROWS_AS(TenantFileHeader::parse(std::string(5000, 'x')), UsageError);
    std::string later = TenantFileHeader{.schema = "a"}.text();
    later.replace(later.find(" 1\n"), 3, " 2\n");
    CHECK_THROWS_WITH_AS(TenantFileHeader::parse(later),
                         "the file has format 2, this tenantctl reads 1", UsageError);
  }
}
