/* floor: makes networks with the fewest system calls. It is the lower limit for a program
 * outside the kernel, and vnet is compared with it. It omits every check that it does not
 * need, and exits at the first error.
 *
 *	floor up star BRIDGES EACH      hosts on bridges, with addresses and routes
 *	floor up nat 1 EACH             the same, with masquerade
 *	floor up chain 1 ROUTERS        routers in a row
 *	floor up mesh 1 HOSTS           a veth pair between any two hosts
 *	floor down …                    removes it and waits until it is gone
 *
 * Per host: unshare, open, open+close+mount (the name), one RTM_NEWLINK per veth pair that
 * creates both ends in their namespaces, and one sendmsg inside. The networks are those
 * of network.go.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP 7474
#define FORWARD "/proc/sys/net/ipv4/ip_forward"
#define BRIDGE_ADDR(s, i) (10u << 24 | (s) << 16 | (i)) /* on the s-th bridge */
#define PAIR_ADDR(c, i) ((10u << 24) + (64u << 16) + 4 * (c) + (i)) /* of the c-th veth pair */

static char buf[65536];
static struct nlmsghdr *n; /* the current message */
static size_t used;

static void begin(int type, int flags, const void *head, size_t len)
{
	n = (struct nlmsghdr *)(buf + used);
	memset(n, 0, NLMSG_SPACE(len));
	n->nlmsg_type = type;
	n->nlmsg_flags = NLM_F_REQUEST | flags;
	memcpy(NLMSG_DATA(n), head, len);
	n->nlmsg_len = NLMSG_LENGTH(NLMSG_ALIGN(len));
	used += n->nlmsg_len;
}

static struct rtattr *attr(int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)(buf + used);
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memset(RTA_DATA(a), 0, RTA_ALIGN(len));
	if (len)
		memcpy(RTA_DATA(a), data, len);
	n->nlmsg_len += RTA_SPACE(len);
	used += RTA_SPACE(len);
	return a;
}

static void end(struct rtattr *a) { a->rta_len = buf + used - (char *)a; }
static void attr32(int type, uint32_t v) { attr(type, &v, 4); }
static void attrs(int type, const char *s) { attr(type, s, strlen(s) + 1); }

/* send_batch sends the messages in buf and reads the acknowledgement. */
static void send_batch(int fd, const char *what)
{
	char answer[8192];
	if (send(fd, buf, used, 0) < 0)
		err(1, "%s", what);
	used = 0;
	ssize_t len = recv(fd, answer, sizeof answer, 0);
	struct nlmsghdr *h = (struct nlmsghdr *)answer;
	if (len < 0 || h->nlmsg_type != NLMSG_ERROR)
		err(1, "%s", what);
	errno = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
	if (errno)
		err(1, "%s", what);
}

/* send_all sends the messages in buf; the kernel acknowledges the last one. */
static void send_all(int fd, const char *what)
{
	n->nlmsg_flags |= NLM_F_ACK;
	send_batch(fd, what);
}

static int netlink(int protocol, uint32_t groups)
{
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa))
		err(1, "netlink");
	return fd;
}

static void forward(const char *value)
{
	int fd = open(FORWARD, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, 1) != 1)
		err(1, FORWARD);
	close(fd);
}

static void link_up(int index)
{
	struct ifinfomsg i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	begin(RTM_NEWLINK, 0, &i, sizeof i);
}

/* addrgen_none sets addrgenmode none on a link that is down: it gets no IPv6 link-local
 * address and sends no router solicitations, which a bridge would flood to all ports. */
static void addrgen_none(int index)
{
	struct ifinfomsg i = {.ifi_index = index};
	uint8_t none = 1; /* IN6_ADDR_GEN_MODE_NONE */
	begin(RTM_NEWLINK, 0, &i, sizeof i);
	struct rtattr *all = attr(IFLA_AF_SPEC, NULL, 0);
	struct rtattr *six = attr(AF_INET6, NULL, 0);
	attr(IFLA_INET6_ADDR_GEN_MODE, &none, 1);
	end(six), end(all);
}

static void address(int index, uint32_t ip, int len)
{
	struct ifaddrmsg a = {.ifa_family = AF_INET, .ifa_prefixlen = len, .ifa_index = index};
	uint32_t be = htonl(ip), brd = htonl(ip | (0xffffffffu >> len));
	begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
	attr(IFA_LOCAL, &be, 4);
	attr(IFA_ADDRESS, &be, 4);
	attr(IFA_BROADCAST, &brd, 4);
}

/* route adds a route to ip/len; len 0 is the default route. */
static void route(uint32_t ip, int len, uint32_t via)
{
	struct rtmsg r = {.rtm_family = AF_INET, .rtm_dst_len = len, .rtm_table = RT_TABLE_MAIN,
			  .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
	uint32_t dst = htonl(ip), gateway = htonl(via);
	begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &r, sizeof r);
	if (len)
		attr(RTA_DST, &dst, 4);
	attr(RTA_GATEWAY, &gateway, 4);
}

/* The namespace and a socket of a host, open until it is complete. */
struct host { int ns, fd; };

static const char *path_of(int h)
{
	static char path[64];
	snprintf(path, sizeof path, "/run/netns/h%d", h);
	return path;
}

/* new_host makes a namespace; the process stays in it. */
static struct host new_host(int h)
{
	if (unshare(CLONE_NEWNET))
		err(1, "unshare");
	struct host host = {.ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
	close(open(path_of(h), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0));
	if (host.ns < 0 || mount("/proc/self/ns/net", path_of(h), "none", MS_BIND, NULL))
		err(1, "%s", path_of(h));
	host.fd = netlink(NETLINK_ROUTE, 0);
	return host;
}

static void complete(struct host h)
{
	link_up(1);
	send_all(h.fd, "inside");
	close(h.fd);
	close(h.ns);
}

/* one_queue gives a veth device one queue. By default the kernel makes one per processor,
 * then removes all but one, with a grace period. */
static void one_queue(void)
{
	attr32(IFLA_NUM_TX_QUEUES, 1);
	attr32(IFLA_NUM_RX_QUEUES, 1);
}

/* add_port makes a veth pair from a bridge to a host. */
static void add_port(int root, int h, int ns, int bridge)
{
	char name[IFNAMSIZ];
	struct ifinfomsg near = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, far = {.ifi_index = 2};
	snprintf(name, sizeof name, "h%d", h);
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &near, sizeof near);
	attrs(IFLA_IFNAME, name);
	attr32(IFLA_MASTER, bridge);
	attr32(IFLA_GROUP, GROUP);
	one_queue();
	struct rtattr *info = attr(IFLA_LINKINFO, NULL, 0);
	attrs(IFLA_INFO_KIND, "veth");
	struct rtattr *data = attr(IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attr(VETH_INFO_PEER, &far, sizeof far);
	attrs(IFLA_IFNAME, "eth0");
	attr32(IFLA_NET_NS_FD, ns);
	one_queue();
	end(peer), end(data), end(info);
	send_all(root, "veth pair");
}

/* An end of a veth pair between hosts. */
struct end { const char *name; int n, index, ns; };

static const char *name_of(struct end e)
{
	static char name[IFNAMSIZ];
	snprintf(name, sizeof name, e.n < 0 ? "%s" : "%s%d", e.name, e.n);
	return name;
}

static void veth_pair(int root, struct end a, struct end b)
{
	struct ifinfomsg near = {.ifi_index = a.index}, far = {.ifi_index = b.index};
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &near, sizeof near);
	attrs(IFLA_IFNAME, name_of(a));
	attr32(IFLA_NET_NS_FD, a.ns);
	one_queue();
	struct rtattr *info = attr(IFLA_LINKINFO, NULL, 0);
	attrs(IFLA_INFO_KIND, "veth");
	struct rtattr *data = attr(IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attr(VETH_INFO_PEER, &far, sizeof far);
	attrs(IFLA_IFNAME, name_of(b));
	attr32(IFLA_NET_NS_FD, b.ns);
	one_queue();
	end(peer), end(data), end(info);
	send_all(root, "veth pair");
}

static void be32(int type, uint32_t v) { attr32(type, htonl(v)); }

static void nft(int type, int flags)
{
	struct nfgenmsg g = {.nfgen_family = NFPROTO_IPV4};
	begin(NFNL_SUBSYS_NFTABLES << 8 | type, flags, &g, sizeof g);
}

static void batch(int type)
{
	struct nfgenmsg g = {.res_id = htons(NFNL_SUBSYS_NFTABLES)};
	begin(type, 0, &g, sizeof g);
}

/* prefix compares the first two bytes of the address at an offset of the IP header. */
static void prefix(int offset, int op, uint32_t ip)
{
	uint16_t half = htons(ip >> 16);
	struct rtattr *e = attr(NFTA_LIST_ELEM, NULL, 0);
	attrs(NFTA_EXPR_NAME, "payload");
	struct rtattr *data = attr(NFTA_EXPR_DATA, NULL, 0);
	be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
	be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	be32(NFTA_PAYLOAD_OFFSET, offset);
	be32(NFTA_PAYLOAD_LEN, 2);
	end(data), end(e);
	e = attr(NFTA_LIST_ELEM, NULL, 0);
	attrs(NFTA_EXPR_NAME, "cmp");
	data = attr(NFTA_EXPR_DATA, NULL, 0);
	be32(NFTA_CMP_SREG, NFT_REG_1);
	be32(NFTA_CMP_OP, op);
	struct rtattr *value = attr(NFTA_CMP_DATA, NULL, 0);
	attr(NFTA_DATA_VALUE, &half, 2);
	end(value), end(data), end(e);
}

/* masquerade makes the rule for packets that leave the first bridge's subnet. */
static void masquerade(int filter)
{
	batch(NFNL_MSG_BATCH_BEGIN);
	nft(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	attrs(NFTA_TABLE_NAME, "floor");
	nft(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
	attrs(NFTA_CHAIN_TABLE, "floor");
	attrs(NFTA_CHAIN_NAME, "out");
	attrs(NFTA_CHAIN_TYPE, "nat");
	struct rtattr *hook = attr(NFTA_CHAIN_HOOK, NULL, 0);
	be32(NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	be32(NFTA_HOOK_PRIORITY, 100);
	end(hook);
	nft(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
	attrs(NFTA_RULE_TABLE, "floor");
	attrs(NFTA_RULE_CHAIN, "out");
	struct rtattr *exprs = attr(NFTA_RULE_EXPRESSIONS, NULL, 0);
	prefix(12, NFT_CMP_EQ, BRIDGE_ADDR(0, 0));
	prefix(16, NFT_CMP_NEQ, BRIDGE_ADDR(0, 0));
	struct rtattr *e = attr(NFTA_LIST_ELEM, NULL, 0);
	attrs(NFTA_EXPR_NAME, "masq");
	end(e), end(exprs);
	batch(NFNL_MSG_BATCH_END);
	send_batch(filter, "masquerade");
}

static void delete_table(int filter)
{
	batch(NFNL_MSG_BATCH_BEGIN);
	nft(NFT_MSG_DELTABLE, NLM_F_ACK);
	attrs(NFTA_TABLE_NAME, "floor");
	batch(NFNL_MSG_BATCH_END);
	send_batch(filter, "table");
}

static int new_bridge(int root, int s)
{
	struct ifinfomsg i = {0};
	char name[IFNAMSIZ];
	snprintf(name, sizeof name, "sw%d", s);
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
	attrs(IFLA_IFNAME, name);
	attr32(IFLA_GROUP, GROUP);
	struct rtattr *info = attr(IFLA_LINKINFO, NULL, 0);
	attrs(IFLA_INFO_KIND, "bridge");
	end(info);
	send_all(root, name);
	return if_nametoindex(name);
}

static void up_star(int root, int bridges, int each)
{
	int bridge[bridges];
	for (int s = 0; s < bridges; s++)
		bridge[s] = new_bridge(root, s);
	for (int h = 0; h < bridges * each; h++) {
		int s = h / each;
		struct host host = new_host(h);
		add_port(root, h, host.ns, bridge[s]);
		addrgen_none(2);
		link_up(2);
		address(2, BRIDGE_ADDR(s, h % each + 2), 16);
		route(0, 0, BRIDGE_ADDR(s, 1));
		complete(host);
	}
	/* Set the bridges up last: a bridge that is up floods the first packets of each
	 * new port to all others. */
	for (int s = 0; s < bridges; s++) {
		addrgen_none(bridge[s]);
		address(bridge[s], BRIDGE_ADDR(s, 1), 16);
		link_up(bridge[s]);
		send_all(root, "bridge up");
	}
}

static void router(struct host host, int h, int last)
{
	if (h > 0) {
		addrgen_none(2);
		link_up(2);
		address(2, PAIR_ADDR(h - 1, 2), 30);
	}
	if (h > 1)
		route(PAIR_ADDR(0, 0), 30, PAIR_ADDR(h - 1, 1));
	if (!last) {
		addrgen_none(3);
		link_up(3);
		address(3, PAIR_ADDR(h, 1), 30);
		route(0, 0, PAIR_ADDR(h, 2));
	}
	complete(host);
}

static void up_chain(int root, int routers)
{
	struct host before = {0};
	for (int h = 0; h < routers; h++) {
		struct host host = new_host(h);
		forward("1");
		if (h > 0) {
			veth_pair(root, (struct end){"right", -1, 3, before.ns}, (struct end){"left", -1, 2, host.ns});
			router(before, h - 1, 0);
		}
		before = host;
	}
	router(before, routers - 1, 1);
}

static void up_mesh(int root, int hosts)
{
	struct host all[hosts];
	for (int h = 0; h < hosts; h++) {
		all[h] = new_host(h);
		for (int j = 0; j < h; j++)
			veth_pair(root, (struct end){"to", h, 1 + h, all[j].ns}, (struct end){"to", j, 2 + j, all[h].ns});
	}
	for (int h = 0; h < hosts; h++) {
		for (int j = 0; j < hosts; j++) {
			int a = j < h ? j : h, b = j < h ? h : j; /* a < b */
			if (j == h)
				continue;
			addrgen_none(j < h ? 2 + j : 1 + j);
			link_up(j < h ? 2 + j : 1 + j);
			address(j < h ? 2 + j : 1 + j, PAIR_ADDR(b * (b - 1) / 2 + a, j < h ? 2 : 1), 30);
		}
		complete(all[h]);
	}
}

static void up(const char *shape, int bridges, int each)
{
	int root = netlink(NETLINK_ROUTE, 0);
	int filter = strcmp(shape, "nat") ? -1 : netlink(NETLINK_NETFILTER, 0);
	mkdir("/run/netns", 0755);
	if (mount("/run/netns", "/run/netns", "none", MS_BIND | MS_REC, NULL) ||
	    mount("", "/run/netns", "none", MS_SHARED | MS_REC, NULL))
		err(1, "/run/netns");
	if (filter >= 0) {
		forward("1");
		masquerade(filter);
	}
	if (!strcmp(shape, "chain"))
		up_chain(root, each);
	else if (!strcmp(shape, "mesh"))
		up_mesh(root, each);
	else
		up_star(root, bridges, each);
}

/* ids counts the namespace ids of this namespace. */
static int ids(int fd)
{
	char answer[32768];
	struct rtgenmsg g = {0};
	begin(RTM_GETNSID, NLM_F_DUMP, &g, sizeof g);
	if (send(fd, buf, used, 0) < 0)
		err(1, "ids");
	used = 0;
	for (int count = 0;;) {
		ssize_t len = recv(fd, answer, sizeof answer, 0);
		if (len < 0)
			err(1, "ids");
		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return count;
			count++;
		}
	}
}

/* wait_ids waits until count ids are free, or fewer if the queue overflows. */
static void wait_ids(int events, int count)
{
	while (count > 0) {
		char answer[32768];
		ssize_t len = recv(events, answer, sizeof answer, 0);
		if (len < 0 && errno == ENOBUFS)
			return;
		if (len < 0)
			err(1, "events");
		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
			count -= h->nlmsg_type == RTM_DELNSID;
	}
}

/* down waits until the kernel reports that each namespace's id is free: then the namespace
 * is gone. It does not see namespaces without an id. */
static void down(const char *shape, int bridges, int each)
{
	int root = netlink(NETLINK_ROUTE, 0), events = netlink(NETLINK_ROUTE, 0), group = RTNLGRP_NSID;
	int hosts = bridges * each, others = ids(root) - hosts, left;
	if (setsockopt(events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group))
		err(1, "group");
	if (!strcmp(shape, "star") || !strcmp(shape, "nat")) {
		struct ifinfomsg i = {0};
		begin(RTM_DELLINK, 0, &i, sizeof i);
		attr32(IFLA_GROUP, GROUP);
		send_all(root, "delete");
	}
	if (!strcmp(shape, "nat")) {
		delete_table(netlink(NETLINK_NETFILTER, 0));
		forward("0");
	}
	for (int h = 0; h < hosts; h++)
		if (umount2(path_of(h), MNT_DETACH) || unlink(path_of(h)))
			err(1, "%s", path_of(h));
	while ((left = ids(root) - (others > 0 ? others : 0)) > 0)
		wait_ids(events, left);
	if (umount2("/run/netns", MNT_DETACH))
		err(1, "/run/netns");
}

int main(int argc, char **argv)
{
	struct rlimit files;
	if (argc != 5)
		errx(1, "usage: floor up|down star|nat|chain|mesh BRIDGES EACH");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max; /* a mesh keeps the files of all hosts open */
	setrlimit(RLIMIT_NOFILE, &files);
	if (!strcmp(argv[1], "up"))
		up(argv[2], atoi(argv[3]), atoi(argv[4]));
	else
		down(argv[2], atoi(argv[3]), atoi(argv[4]));
}
