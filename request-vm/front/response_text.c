// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "request-vm/front/response.h"

/* RFC 9110 section 15 and the few of others that servers send */
static const struct {
	short status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{203, "Non-Authoritative Information"},
	{204, "No Content"},
	{205, "Reset Content"},
	{206, "Partial Content"},
	{207, "Multi-Status"},
	{300, "Multiple Choices"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{402, "Payment Required"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{407, "Proxy Authentication Required"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{418, "I'm a teapot"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{423, "Locked"},
	{424, "Failed Dependency"},
	{425, "Too Early"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
	{511, "Network Authentication Required"},
};

const char *mf_http_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

/* Days since 1970 to a civil date, in eras of 400 years that begin on 1 March. */
static void civil(long long days, int *year, int *month, int *day)
{
	long long shifted = days + 719468;
	long long era = shifted / 146097;
	int of_era = (int)(shifted - era * 146097);
	int years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int of_year = of_era - (365 * years + years / 4 - years / 100);
	int shifted_month = (5 * of_year + 2) / 153;

	*day = of_year - (153 * shifted_month + 2) / 5 + 1;
	*month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
	*year = (int)(years + era * 400) + (*month <= 2);
}

void mf_http_date(char out[MF_HTTP_DATE_BYTES], long long seconds)
{
	static const char weekdays[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	const long long last = 253402300799LL; /* the end of year 9999 */
	int year, month, day, rest;

	seconds = seconds < 0 ? 0 : seconds > last ? last : seconds;
	civil(seconds / 86400, &year, &month, &day);
	rest = (int)(seconds % 86400);
	snprintf(out, MF_HTTP_DATE_BYTES, "%s, %02d %s %04d %02d:%02d:%02d GMT",
		 weekdays[seconds / 86400 % 7], day, months[month - 1], year % 10000, rest / 3600,
		 rest / 60 % 60, rest % 60);
}
