/*
 * The Linux guests' work with Debian's own programs: servers and their clients, which know
 * nothing of being measured. What they have done is asked for by a connection that is open
 * before, so that no program starts while exits are counted.
 *
 * hpvm.loads=NAME,... says which. Of each, in this order, with a line from the console awaited
 * where it says so:
 *
 *   NAME.ready=1     a line; then the server starts, and clients with an end, of which the first
 *                    reports latencies. They're the warm-up, too
 *   NAME.warm=1      the clients without an end have run for a while, and then for one interval
 *                    that nobody counts the exits of; a line
 *   NAME.counted=1   and for another one, between two marks. They go on after it
 *
 * With hpvm.remote=1 the clients are on another machine, which starts them when the server is
 * there, before the line that NAME.warm awaits; with hpvm.network=1 the network card is up.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "mark.h"

#define MAX_CLIENTS	3
#define MAX_WORDS	16
#define MAX_WORKERS	64
#define NSEC_PER_MSEC	1000000L
#define DISK		"/dev/nvme0n1"
#define BLOCK		4096
#define DISK_BLOCKS	1024		/* of the disk, are read */
#define IPERF_BLOCK	131072		/* bytes, iperf3's default */
#define TOUCHED		(48L << 20)	/* bytes */

struct load {
	const char *name;
	const char *server;		/* command line, or NULL */
	int port;
	const char *prepare;		/* sent to the server once */
	const char *sample;		/* client with an end, for latencies */
	const char *client;		/* without one */
	int clients;			/* of each, at most; fewer where there are fewer vCPUs */
	void (*work)(void);		/* instead of clients: a process of its own */
	long (*requests)(void);		/* done until now */
	void (*latency)(const char *name);
};

/* What a worker has done. */
static volatile long *done;
static int query = -1;

static void rest(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * NSEC_PER_MSEC };

	nanosleep(&t, NULL);
}

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

void await_line(void)
{
	char byte;

	do {
		if (read(STDIN_FILENO, &byte, 1) != 1)
			fail("read from the console");
	} while (byte != '\n');
}

static void log_of(char *path, size_t size, const char *load, int client)
{
	snprintf(path, size, "/tmp/%s.%d", load, client);
}

/*
 * Starts the command, whose words have single blanks between them; %20 is a blank in one. It
 * stays on the vCPU of its place, but for what it places itself.
 */
static pid_t start(const char *command, const char *log, int place)
{
	char text[512], *words[MAX_WORDS + 1], *p, *hole;
	int n = 0, fd;
	cpu_set_t on;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid)
		return pid;
	CPU_ZERO(&on);
	CPU_SET(place, &on);
	if (sched_setaffinity(0, sizeof(on), &on))
		_exit(126);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	fd = open("/dev/null", O_RDONLY);
	if (fd < 0 || dup2(fd, 0) < 0)
		_exit(126);
	snprintf(text, sizeof(text), "%s", command);
	for (p = strtok(text, " "); p && n < MAX_WORDS; p = strtok(NULL, " ")) {
		while ((hole = strstr(p, "%20"))) {
			*hole = ' ';
			memmove(hole + 1, hole + 3, strlen(hole + 3) + 1);
		}
		/* "" is an empty one. */
		words[n++] = strcmp(p, "\"\"") ? p : "";
	}
	words[n] = NULL;
	execv(words[0], words);
	_exit(127);
}

/* What a program has said, for the log. */
static void show(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		printf("%s: %s", path, line);
	if (f)
		fclose(f);
}

static void must_run(pid_t pid, const char *log)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != 0) {
		show(log);
		errno = 0;
		fail("a program that ended early");
	}
}

static int try_connect(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

/* How much of the answer there'll be: redis says it first, "$LENGTH"; nginx's ends so. */
static bool complete(const char *answer, size_t have)
{
	const char *body = strstr(answer, "\r\n");

	if (answer[0] == '$')
		return body && (ssize_t)have >= body + 2 - answer + atol(answer + 1) + 2;
	return strstr(answer, "Waiting:");
}

/* The answer to what is sent by the open connection. */
static void ask(const char *question, char *answer, size_t size)
{
	size_t have = 0;
	ssize_t n;

	if (write(query, question, strlen(question)) != (ssize_t)strlen(question))
		fail("write to the server");
	do {
		n = have < size - 1 ? read(query, answer + have, size - 1 - have) : 0;
		if (n <= 0)
			fail("read from the server");
		have += n;
		answer[have] = '\0';
	} while (!complete(answer, have));
}

static long redis_requests(void)
{
	static const char key[] = "cmdstat_eval:calls=";
	static char answer[16384];
	const char *calls;

	ask("INFO commandstats\r\n", answer, sizeof(answer));
	calls = strstr(answer, key);
	return calls ? atol(calls + strlen(key)) : 0;
}

static long nginx_requests(void)
{
	static char answer[4096];
	long accepts, handled, requests;

	ask("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n", answer, sizeof(answer));
	if (sscanf(strstr(answer, "requests"), "requests %ld %ld %ld", &accepts, &handled,
		   &requests) != 3)
		fail("nginx's status");
	return requests;
}

/* Blocks of iperf3 that have come out of the loopback. */
static long iperf_requests(void)
{
	static int fd = -1;
	char text[32];
	ssize_t n;

	if (fd < 0)
		fd = open("/sys/class/net/lo/statistics/rx_bytes", O_RDONLY | O_CLOEXEC);
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		fail("the loopback's bytes");
	text[n] = '\0';
	return atol(text) / IPERF_BLOCK;
}

static long worker_requests(void)
{
	return *done;
}

/* Programs start, one after the other: the loader and libc ask CPUID for what there is. */
static void start_programs(void)
{
	int status;
	pid_t pid;

	for (;; ++*done) {
		pid = vfork();
		if (!pid) {
			execl("/bin/dash", "dash", "-c", ":", NULL);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			fail("a program that should only start");
	}
}

/* Reads of a disk that QEMU emulates. */
static void read_disk(void)
{
	static char block[BLOCK] __attribute__((aligned(BLOCK)));
	int fd = open(DISK, O_RDONLY | O_DIRECT);

	if (fd < 0)
		fail(DISK);
	for (;; ++*done) {
		if (pread(fd, block, BLOCK, *done % DISK_BLOCKS * BLOCK) != BLOCK)
			fail("read of the disk");
	}
}

/* "name","rps","avg","min","p50","p95","p99","max", in ms */
static void redis_latency(const char *name)
{
	char path[64], line[512];
	double p50, p99;
	bool found = false;
	FILE *f;

	log_of(path, sizeof(path), name, 0);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		found |= sscanf(line, "\"%*[^\"]\",\"%*f\",\"%*f\",\"%*f\",\"%lf\",\"%*f\",\"%lf\"",
				&p50, &p99) == 2;
	if (!found) {
		show(path);
		fail("latencies of redis-benchmark");
	}
	fclose(f);
	printf("hpvm: %s.p50_us=%.0f\nhpvm: %s.p99_us=%.0f\n", name, p50 * 1000, name, p99 * 1000);
}

/* A line such as "     99%    1.23ms" */
static double wrk_percentile(const char *path, const char *percent)
{
	char line[256], unit[16], which[16];
	double value, us = -1;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %15s %lf%15s", which, &value, unit) != 3 ||
		    strcmp(which, percent))
			continue;
		us = value * (!strcmp(unit, "us") ? 1 : !strcmp(unit, "ms") ? 1e3 : 1e6);
	}
	if (us < 0) {
		show(path);
		fail("latencies of wrk");
	}
	fclose(f);
	return us;
}

static void wrk_latency(const char *name)
{
	char path[64];

	log_of(path, sizeof(path), name, 0);
	printf("hpvm: %s.p50_us=%.0f\n", name, wrk_percentile(path, "50%"));
	printf("hpvm: %s.p99_us=%.0f\n", name, wrk_percentile(path, "99%"));
}

/* "PERCENT,MS" */
static void ab_latency(const char *name)
{
	char line[64];
	double ms;
	int percent, found = 0;
	FILE *f = fopen("/tmp/ab.csv", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%d,%lf", &percent, &ms) != 2)
			continue;
		if (percent == 50 || percent == 99) {
			printf("hpvm: %s.p%d_us=%.0f\n", name, percent, ms * 1000);
			found++;
		}
	}
	if (found != 2)
		fail("latencies of ab");
	fclose(f);
}

#define REDIS "/usr/bin/redis-server --save \"\" --protected-mode no"
#define REDIS_CLIENT "/usr/bin/redis-benchmark --csv -c 16 -r 10000 -n "
/* One script of SET, GET and LRANGE: of three clients it's chance how often each has its turn. */
#define REDIS_REQUEST " eval redis.call('set',KEYS[1],'value');redis.call('get',KEYS[1]);" \
	"return%20redis.call('lrange','list',0,9) 1 key:__rand_int__"
#define FILL_LIST "EVAL \"for i=1,100 do redis.call('rpush','list',i) end return 'ok'\" 0\r\n"
#define NGINX "/usr/sbin/nginx -c /etc/nginx.conf -g "
#define URL "http://127.0.0.1:80/index.html"

/* place_workers() completes it: how many workers, and where. */
static char nginx[256] = NGINX;

static const struct load loads[] = {
	{
		.name = "redis", .server = REDIS, .port = 6379,
		.prepare = FILL_LIST,
		.sample = REDIS_CLIENT "500" REDIS_REQUEST,
		.client = REDIS_CLIENT "100000000" REDIS_REQUEST, .clients = 3,
		.requests = redis_requests, .latency = redis_latency,
	}, {
		.name = "nginx", .server = nginx, .port = 80,
		.sample = "/usr/bin/wrk -t 1 -c 64 -d 1s --latency " URL,
		.client = "/usr/bin/wrk -t 1 -c 64 -d 10000s " URL, .clients = 1,
		.requests = nginx_requests, .latency = wrk_latency,
	}, {
		.name = "ab", .server = nginx, .port = 80,
		.sample = "/usr/bin/ab -n 1000 -c 64 -e /tmp/ab.csv " URL,
		.client = "/usr/bin/ab -n 200000 -c 64 " URL, .clients = 1,
		.requests = nginx_requests, .latency = ab_latency,
	}, {
		.name = "iperf3", .server = "/usr/bin/iperf3 -s -B 127.0.0.1", .port = 5201,
		.client = "/usr/bin/iperf3 -c 127.0.0.1 -t 10000", .clients = 1,
		.requests = iperf_requests,
	}, {
		.name = "exec", .work = start_programs, .requests = worker_requests,
	}, {
		.name = "disk", .work = read_disk, .requests = worker_requests,
	},
};

static void lo_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		fail("lo");
	close(fd);
}

/* Lines of /proc/interrupts; the last ones are the network card's. */
static const struct {
	const char *text, *name;
} irqs[] = {
	{ "LOC:", "LOC" }, { "RES:", "RES" }, { "CAL:", "CAL" }, { "NMI:", "NMI" },
	{ "virtio", "card" },
};

#define COUNT(array) ((long)(sizeof(array) / sizeof(*(array))))
#define IRQS COUNT(irqs)

/* Lets the clients run on for so long; says what was done then, between two marks if asked. */
static void interval(const struct load *load, const char *what, long ms, bool marked)
{
	long before[IRQS], requests, ns;
	uint64_t ticks;
	long i;

	for (i = 0; i < IRQS; i++)
		before[i] = interrupts(irqs[i].text);
	requests = load->requests();
	ns = now_ns();
	ticks = tsc();
	if (marked)
		mark(MARK_BEGIN);
	rest(ms);
	requests = load->requests() - requests;
	ticks = tsc() - ticks;
	ns = now_ns() - ns;
	if (marked)
		mark(MARK_END);
	printf("hpvm: %s.%s_requests=%ld\n", load->name, what, requests);
	printf("hpvm: %s.%s_ticks=%llu\n", load->name, what, (unsigned long long)ticks);
	printf("hpvm: %s.%s_us=%ld\n", load->name, what, ns / 1000);
	for (i = 0; i < IRQS; i++)
		printf("hpvm: %s.%s_%s=%ld\n", load->name, what, irqs[i].name,
		       interrupts(irqs[i].text) - before[i]);
}

/* The clients are elsewhere, and come when it's warm. */
static bool remote;

static int vcpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

static int most_of(int n)
{
	int others = vcpus() > 1 ? vcpus() - 1 : 1;

	return others < n ? others : n;
}

static int clients_of(const struct load *load)
{
	return remote ? 0 : most_of(load->clients);
}

/*
 * The server on vCPU 0, or nginx's workers on all but the last, and the clients from the last one
 * down, as people place them who measure: otherwise it's chance which of them share a vCPU, and
 * stays so for longer than an interval.
 */
static int place_of_client(int client)
{
	return vcpus() - 1 - client;
}

static void place_workers(void)
{
	char places[MAX_WORKERS + 1] = "";
	int workers = most_of(MAX_WORKERS);

	memset(places, '1', workers);
	snprintf(nginx, sizeof(nginx),
		 NGINX "daemon%%20off;worker_processes%%20%d;worker_cpu_affinity%%20auto%%20%s;",
		 workers, places);
}

static void run(const struct load *load, long warm_ms, long ms)
{
	pid_t server = 0, clients[MAX_CLIENTS];
	char log[64], server_log[64], answer[256];
	int i, status, count = 0, fd;

	log_of(server_log, sizeof(server_log), load->name, MAX_CLIENTS);
	if (load->server) {
		server = start(load->server, server_log, 0);
		while ((query = try_connect(load->port)) < 0) {
			must_run(server, server_log);
			rest(10);
		}
	}
	if (load->prepare)
		ask(load->prepare, answer, sizeof(answer));
	/* iperf3's server has one client at a time, and isn't asked. */
	if (load->requests == iperf_requests) {
		close(query);
		query = -1;
		rest(100);
	}
	for (i = 0; i < clients_of(load) && load->sample; i++) {
		log_of(log, sizeof(log), load->name, i);
		clients[i] = start(load->sample, log, place_of_client(i));
	}
	while (i-- > 0) {
		log_of(log, sizeof(log), load->name, i);
		if (waitpid(clients[i], &status, 0) != clients[i] || status) {
			show(log);
			fail("a client's status");
		}
	}
	if (load->latency && !remote)
		load->latency(load->name);
	if (load->work) {
		*done = 0;
		clients[count] = fork();
		if (!clients[count])
			load->work();
		count++;
	}
	for (; count < clients_of(load); count++) {
		log_of(log, sizeof(log), load->name, count);
		clients[count] = start(load->client, log, place_of_client(count));
	}
	if (!remote) {
		rest(warm_ms);
		interval(load, "alone", ms, false);
	}
	printf("hpvm: %s.warm=1\n", load->name);
	await_line();
	rest(300);
	interval(load, "marked", ms, true);
	for (i = 0; i < count; i++) {
		log_of(log, sizeof(log), load->name, i);
		must_run(clients[i], log);
		kill(clients[i], SIGKILL);
		waitpid(clients[i], NULL, 0);
	}
	if (server) {
		must_run(server, server_log);
		/* So that nginx's workers end, too. */
		kill(server, SIGTERM);
		if (waitpid(server, &status, 0) != server)
			fail("the server's end");
	}
	if (query >= 0)
		close(query);
	query = -1;
	while ((fd = load->server ? try_connect(load->port) : -1) >= 0) {
		close(fd);
		rest(10);
	}
	printf("hpvm: %s.counted=1\n", load->name);
}

/* Memory that the guest has never touched: each page of it, once. */
static void touch(void)
{
	char *memory = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	uint64_t ticks;
	long i;

	if (memory == MAP_FAILED || madvise(memory, TOUCHED, MADV_NOHUGEPAGE))
		fail("memory to touch");
	printf("hpvm: touch.warm=1\n");
	await_line();
	rest(300);
	ticks = tsc();
	mark(MARK_BEGIN);
	for (i = 0; i < TOUCHED; i += BLOCK)
		memory[i] = 1;
	ticks = tsc() - ticks;
	mark(MARK_END);
	munmap(memory, TOUCHED);
	printf("hpvm: touch.marked_requests=%ld\nhpvm: touch.marked_ticks=%llu\n",
	       TOUCHED / BLOCK, (unsigned long long)ticks);
	printf("hpvm: touch.counted=1\n");
}

void run_loads(const char *names)
{
	long warm_ms = parameter("hpvm.warm_ms", 500), ms = parameter("hpvm.interval_ms", 2000);
	char list[256], *name, *next;
	long i;

	remote = parameter("hpvm.remote", 0);
	snprintf(list, sizeof(list), "%s", names);
	list[strcspn(list, "\n ")] = '\0';
	mkdir("/tmp", 0777);
	mkdir("/run", 0755);
	lo_up();
	place_workers();
	done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		fail("mmap");
	for (name = strtok_r(list, ",", &next); name; name = strtok_r(NULL, ",", &next)) {
		printf("hpvm: %s.ready=1\n", name);
		await_line();
		if (!strcmp(name, "touch")) {
			touch();
			continue;
		}
		for (i = 0; i < COUNT(loads); i++) {
			if (!strcmp(name, loads[i].name))
				break;
		}
		errno = ENOENT;
		if (i == COUNT(loads))
			fail(name);
		run(&loads[i], warm_ms, ms);
	}
	/* So long the host may ask QEMU. */
	await_line();
}
