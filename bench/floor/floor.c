/* floor: a star of hosts by the fewest system calls that make one. It is the
 * limit of what a program outside the kernel can do, and what vnet is measured
 * against. It checks nothing that it need not, and gives up at the first error.
 *
 *	floor up N     v-net-0 with its N hosts, up, addressed, routed
 *	floor down N   until nothing is left of it
 *
 * Per host: unshare, open, open+close+mount (the name), one RTM_NEWLINK that
 * makes both ends of the cable where they belong, and one sendmsg inside.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP 7474

static char buf[4096];
static struct nlmsghdr *n; /* the message that is being written */
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

/* talk sends what was written, the last message acknowledged, and reads. */
static void talk(int fd, const char *what)
{
	char answer[8192];
	n->nlmsg_flags |= NLM_F_ACK;
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

static int route_socket(uint32_t groups)
{
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa))
		err(1, "netlink");
	return fd;
}

static void link_up(int index)
{
	struct ifinfomsg i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	begin(RTM_NEWLINK, 0, &i, sizeof i);
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

static void cable(int root, int i, int ns, int bridge)
{
	char name[IFNAMSIZ];
	struct ifinfomsg near = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, far = {.ifi_index = 2};
	snprintf(name, sizeof name, "h%d", i);
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &near, sizeof near);
	attrs(IFLA_IFNAME, name);
	attr32(IFLA_MASTER, bridge);
	attr32(IFLA_GROUP, GROUP);
	struct rtattr *info = attr(IFLA_LINKINFO, NULL, 0);
	attrs(IFLA_INFO_KIND, "veth");
	struct rtattr *data = attr(IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attr(VETH_INFO_PEER, &far, sizeof far);
	attrs(IFLA_IFNAME, "eth0");
	attr32(IFLA_NET_NS_FD, ns);
	end(peer), end(data), end(info);
	talk(root, "cable");
}

static void inside(uint32_t gateway, uint32_t ip, int len)
{
	struct rtmsg r = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
			  .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
	uint32_t be = htonl(gateway);
	int fd = route_socket(0);
	link_up(1);
	link_up(2);
	address(2, ip, len);
	begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &r, sizeof r);
	attr(RTA_GATEWAY, &be, 4);
	talk(fd, "inside");
	close(fd);
}

static void up(int hosts)
{
	const uint32_t net = 10u << 24;
	const int len = 16;
	int root = route_socket(0);
	struct ifinfomsg i = {0};
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
	attrs(IFLA_IFNAME, "v-net-0");
	attr32(IFLA_GROUP, GROUP);
	struct rtattr *info = attr(IFLA_LINKINFO, NULL, 0);
	attrs(IFLA_INFO_KIND, "bridge");
	end(info);
	talk(root, "bridge");
	int bridge = if_nametoindex("v-net-0");

	mkdir("/run/netns", 0755);
	if (mount("/run/netns", "/run/netns", "none", MS_BIND | MS_REC, NULL) ||
	    mount("", "/run/netns", "none", MS_SHARED | MS_REC, NULL))
		err(1, "/run/netns");
	for (int h = 0; h < hosts; h++) {
		char path[64];
		snprintf(path, sizeof path, "/run/netns/h%d", h);
		if (unshare(CLONE_NEWNET))
			err(1, "unshare");
		int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		close(open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0));
		if (ns < 0 || mount("/proc/self/ns/net", path, "none", MS_BIND, NULL))
			err(1, "%s", path);
		cable(root, h, ns, bridge);
		inside(net + 1, net + 2 + h, len);
		close(ns);
	}
	/* The switch last: one that is up would flood each new port's first words
	 * to all the others. */
	address(bridge, net + 1, len);
	link_up(bridge);
	talk(root, "bridge up");
}

/* ids counts the namespaces that this one still has an id for. */
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

/* gone waits until as many ids are free; fewer, if the queue runs over. */
static void gone(int events, int count)
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

/* down waits for the kernel to say of each namespace that its id is free: only
 * then is it gone. */
static void down(int hosts)
{
	int events = route_socket(0), root = route_socket(0), group = RTNLGRP_NSID, left;
	if (setsockopt(events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group))
		err(1, "group");
	struct ifinfomsg i = {0};
	begin(RTM_DELLINK, 0, &i, sizeof i);
	attr32(IFLA_GROUP, GROUP);
	talk(root, "delete");
	for (int h = 0; h < hosts; h++) {
		char path[64];
		snprintf(path, sizeof path, "/run/netns/h%d", h);
		if (umount2(path, MNT_DETACH) || unlink(path))
			err(1, "%s", path);
	}
	while ((left = ids(root)))
		gone(events, left);
	if (umount2("/run/netns", MNT_DETACH))
		err(1, "/run/netns");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(1, "usage: floor up|down HOSTS");
	if (!strcmp(argv[1], "up"))
		up(atoi(argv[2]));
	else
		down(atoi(argv[2]));
}
