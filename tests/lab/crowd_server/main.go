// SPDX-License-Identifier: BSD-2-Clause

// Crowd is a coordination server for tests: Tailscale's own one (tstest/integration/testcontrol speaks with the nodes
// that really are there), with any number of nodes beside them that never come. A tailnet of 5,000 is up in a second.
//
//	crowd -listen 10.9.1.254 -cert F -key F -peers N
//
// Everybody is told of everybody. A node gets the routes that it advertises, and rules that let all nodes, each named
// by its addresses as real servers do, into them. It is a relay, too (region 999, with STUN). On 127.0.0.1:9000 the
// test says what happens next, each time to N of the crowd, in one message to every node:
//
//	POST /add?n=N /remove?n=N /rekey?n=N /move?n=N    how many there are now
//	POST /rule?text=JSON    one more rule for those with routes; of whatever form
//	POST /only?address=A    from now on the rules let in this node alone
//	POST /hold?node=NAME&cap=C    what a real node's capability is from now on; none: it has none
//	POST /say?text=JSON     a message as it is, to those with routes
//	POST /leave    ends what it has to say to anybody; they ask for all again
//
// Requests to /answer/... of the server itself are only written to its log.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"go4.org/mem"
	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

const (
	region           = 999
	firstID          = 1000 // of the crowd; testcontrol numbers from 1
	crowdUser        = 1000
	hostInfoInStream = 68 // from this version on, a node tells of itself in requests of their own
)

type world struct {
	mu      sync.Mutex
	control *testcontrol.Server
	derp    *tailcfg.DERPMap
	nodes   []*tailcfg.Node // all: the real ones and the crowd
	crowd   []*tailcfg.Node // in order of their arrival
	streams map[chan *tailcfg.MapResponse]key.NodePublic
	next    tailcfg.NodeID
	rules   []json.RawMessage
	only    string
}

// anyKey is a public key, of nobody: whose private one is computed takes long for 5,000.
func anyKey() mem.RO {
	var b [32]byte
	rand.Read(b[:])
	return mem.B(b[:])
}

func newNode(id tailcfg.NodeID) *tailcfg.Node {
	n := int(id)
	v4 := netip.AddrFrom4([4]byte{100, 80 + byte(n>>16), byte(n >> 8), byte(n)})
	v6 := netip.MustParseAddr(fmt.Sprintf("fd7a:115c:a1e0:1::%x", n))
	own := []netip.Prefix{netip.PrefixFrom(v4, 32), netip.PrefixFrom(v6, 128)}
	name := fmt.Sprintf("n%05d", n)
	return &tailcfg.Node{
		ID: id, StableID: tailcfg.StableNodeID(name), Name: name + ".lab.test.", User: crowdUser,
		Key: key.NodePublicFromRaw32(anyKey()), DiscoKey: key.DiscoPublicFromRaw32(anyKey()),
		Machine:           key.MachinePublicFromRaw32(anyKey()),
		MachineAuthorized: true, Addresses: own, AllowedIPs: own, HomeDERP: region, Cap: 131,
		Endpoints: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, byte(n >> 8), byte(n)}), 41641)},
		Hostinfo:  (&tailcfg.Hostinfo{Hostname: name, OS: "linux"}).View(),
	}
}

// tell gives every node that listens the same message, and those with routes the rules besides.
func (w *world) tell(m tailcfg.MapResponse, who *tailcfg.Node) {
	for to, nodeKey := range w.streams {
		mine := m
		if who != nil && who.Key == nodeKey {
			mine = tailcfg.MapResponse{Node: who}
		}
		w.addRules(&mine, nodeKey)
		w.send(to, &mine)
	}
}

func (w *world) send(to chan *tailcfg.MapResponse, m *tailcfg.MapResponse) {
	select {
	case to <- m:
	default: // it does not keep up: it asks for all again
		close(to)
		delete(w.streams, to)
	}
}

// say gives those with routes a message to which nothing is added.
func (w *world) say(text string) error {
	for to, nodeKey := range w.streams {
		var m tailcfg.MapResponse
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return err
		}
		if n := w.find(nodeKey); n != nil && len(n.PrimaryRoutes) > 0 {
			w.send(to, &m)
		}
	}
	return nil
}

// hold changes a real node's only capability. A patch cannot say that there is none any more: it leaves away what is
// empty.
func (w *world) hold(name string, cap tailcfg.NodeCapability) (m tailcfg.MapResponse) {
	for i, n := range w.nodes {
		if !strings.HasPrefix(n.Name, name+".") {
			continue
		}
		changed := *n
		changed.CapMap = tailcfg.NodeCapMap{}
		if cap == "" {
			m.PeersChanged = []*tailcfg.Node{&changed}
		} else {
			changed.CapMap[cap] = nil
			m.PeersChangedPatch = []*tailcfg.PeerChange{{NodeID: n.ID, CapMap: changed.CapMap}}
		}
		w.nodes[i] = &changed
	}
	return m
}

func (w *world) find(k key.NodePublic) *tailcfg.Node {
	for _, n := range w.nodes {
		if n.Key == k {
			return n
		}
	}
	return nil
}

// addRules names every node by its addresses, for a node that has routes.
func (w *world) addRules(m *tailcfg.MapResponse, to key.NodePublic) {
	self := w.find(to)
	m.PacketFilters = map[string][]tailcfg.FilterRule{"base": {}}
	if self == nil || len(self.PrimaryRoutes) == 0 {
		return
	}
	rule := tailcfg.FilterRule{}
	for _, n := range append(append([]*tailcfg.Node{}, w.nodes...), w.crowd...) {
		for _, a := range n.Addresses {
			if n.Key != to && (w.only == "" || w.only == a.Addr().String()) {
				rule.SrcIPs = append(rule.SrcIPs, a.Addr().String())
			}
		}
	}
	for _, r := range self.PrimaryRoutes {
		rule.DstPorts = append(rule.DstPorts, tailcfg.NetPortRange{IP: r.String(), Ports: tailcfg.PortRangeAny})
	}
	rules := []tailcfg.FilterRule{rule}
	for _, text := range w.rules {
		var r tailcfg.FilterRule
		if err := json.Unmarshal(text, &r); err != nil {
			log.Fatal(err)
		}
		rules = append(rules, r)
	}
	m.PacketFilters["base"] = rules
}

// meet takes in what a node says of itself.
func (w *world) meet(req *tailcfg.MapRequest) *tailcfg.Node {
	self := w.find(req.NodeKey)
	if self == nil {
		if self = w.control.Node(req.NodeKey); self == nil {
			return nil
		}
		self.Name += ".lab.test."
		w.nodes = append(w.nodes, self)
	}
	if req.ReadOnly || (req.Stream && req.Version >= hostInfoInStream) {
		return self
	}
	changed := *self // a message that is on its way has the old one
	changed.DiscoKey, changed.Endpoints, changed.Cap = req.DiscoKey, req.Endpoints, req.Version
	if h := req.Hostinfo; h != nil {
		changed.Hostinfo = h.View()
		if h.NetInfo != nil && h.NetInfo.PreferredDERP != 0 {
			changed.HomeDERP = h.NetInfo.PreferredDERP
		}
		changed.PrimaryRoutes = h.RoutableIPs
		changed.AllowedIPs = append(append([]netip.Prefix{}, self.Addresses...), h.RoutableIPs...)
	}
	for i := range w.nodes {
		if w.nodes[i] == self {
			w.nodes[i] = &changed
		}
	}
	w.tell(tailcfg.MapResponse{PeersChanged: []*tailcfg.Node{&changed}}, &changed)
	return &changed
}

func (w *world) join(self *tailcfg.Node) (chan *tailcfg.MapResponse, *tailcfg.MapResponse) {
	first := &tailcfg.MapResponse{Node: self, DERPMap: w.derp, Domain: "lab.test", CollectServices: "false",
		UserProfiles: []tailcfg.UserProfile{{ID: crowdUser, LoginName: "crowd@lab.test"}}}
	for _, n := range append(append([]*tailcfg.Node{}, w.nodes...), w.crowd...) {
		if n.Key != self.Key {
			first.Peers = append(first.Peers, n)
		}
	}
	w.addRules(first, self.Key)
	stream := make(chan *tailcfg.MapResponse, 256)
	w.streams[stream] = self.Key
	w.tell(tailcfg.MapResponse{PeersChanged: []*tailcfg.Node{self}}, self)
	return stream, first
}

func (w *world) serve(ctx context.Context, out testcontrol.MapStreamWriter, req *tailcfg.MapRequest) {
	w.mu.Lock()
	self := w.meet(req)
	if self == nil || !req.Stream {
		w.mu.Unlock()
		out.SendMapMessage(&tailcfg.MapResponse{})
		return
	}
	stream, m := w.join(self)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.streams, stream)
		w.mu.Unlock()
	}()
	for ok := true; ok; {
		if out.SendMapMessage(m) != nil {
			return
		}
		select {
		case m, ok = <-stream:
		case <-time.After(50 * time.Second):
			m = &tailcfg.MapResponse{KeepAlive: true}
		case <-ctx.Done():
			return
		}
	}
}

// ---- what the test says -------------------------------------------------------------------------------------------

func (w *world) add(n int) tailcfg.MapResponse {
	first := len(w.crowd)
	for range n {
		w.crowd = append(w.crowd, newNode(w.next))
		w.next++
	}
	return tailcfg.MapResponse{PeersChanged: w.crowd[first:len(w.crowd):len(w.crowd)]}
}

func (w *world) remove(n int) (m tailcfg.MapResponse) {
	for _, node := range w.crowd[:n] {
		m.PeersRemoved = append(m.PeersRemoved, node.ID)
	}
	w.crowd = w.crowd[n:]
	return m
}

// Patches say what is new, as real servers do; a node that comes back gets a copy with it.
func (w *world) patch(n int, change func(*tailcfg.Node, *tailcfg.PeerChange)) (m tailcfg.MapResponse) {
	for i := range n {
		node, p := *w.crowd[i], &tailcfg.PeerChange{NodeID: w.crowd[i].ID}
		change(&node, p)
		w.crowd[i] = &node
		m.PeersChangedPatch = append(m.PeersChangedPatch, p)
	}
	return m
}

func rekey(n *tailcfg.Node, p *tailcfg.PeerChange) {
	n.Key, n.DiscoKey = key.NodePublicFromRaw32(anyKey()), key.DiscoPublicFromRaw32(anyKey())
	p.Key, p.DiscoKey = &n.Key, &n.DiscoKey
}

func move(n *tailcfg.Node, p *tailcfg.PeerChange) {
	at := n.Endpoints[0]
	n.Endpoints = []netip.AddrPort{netip.AddrPortFrom(at.Addr(), at.Port()+1)}
	p.Endpoints = n.Endpoints
}

func (w *world) command(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, _ := strconv.Atoi(r.FormValue("n"))
	var m tailcfg.MapResponse
	if n < 0 || (n > len(w.crowd) && r.URL.Path != "/add") {
		http.Error(rw, "there are not so many", http.StatusBadRequest)
		return
	}
	switch r.URL.Path {
	case "/add":
		m = w.add(n)
	case "/remove":
		m = w.remove(n)
	case "/rekey":
		m = w.patch(n, rekey)
	case "/move":
		m = w.patch(n, move)
	case "/rule":
		w.rules = append(w.rules, json.RawMessage(r.FormValue("text")))
	case "/hold":
		m = w.hold(r.FormValue("node"), tailcfg.NodeCapability(r.FormValue("cap")))
	case "/say":
		if err := w.say(r.FormValue("text")); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(rw, len(w.crowd))
		return
	case "/leave":
		for to := range w.streams {
			close(to)
			delete(w.streams, to)
		}
	case "/only":
		w.only = r.FormValue("address")
	default:
		http.NotFound(rw, r)
		return
	}
	w.tell(m, nil)
	fmt.Fprintln(rw, len(w.crowd))
}

// ---- servers ------------------------------------------------------------------------------------------------------

func derpMap(address string) *tailcfg.DERPMap {
	return &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{region: {
		RegionID: region, RegionCode: "lab", RegionName: "lab", Nodes: []*tailcfg.DERPNode{{
			Name: "999a", RegionID: region, HostName: "headscale.test", IPv4: address, STUNPort: 3478, DERPPort: 443}}}}}
}

func main() {
	listen := flag.String("listen", "", "address of the server, the relay and STUN")
	cert := flag.String("cert", "", "")
	tlsKey := flag.String("key", "", "")
	peers := flag.Int("peers", 5000, "how many never come")
	flag.Parse()

	w := &world{streams: map[chan *tailcfg.MapResponse]key.NodePublic{}, next: firstID, derp: derpMap(*listen)}
	w.control = &testcontrol.Server{ExplicitBaseURL: "https://headscale.test", DERPMap: w.derp, AltMapStream: w.serve,
		Logf: log.Printf}
	w.add(*peers)
	// It makes its keys when it is asked for them, and who remembers some does not ask.
	w.control.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/key?v=131", nil))

	mux := http.NewServeMux()
	mux.Handle("/key", w.control)
	mux.Handle("/ts2021", w.control)
	mux.Handle("/derp", derpserver.Handler(derpserver.New(key.NewNode(), log.Printf)))
	mux.HandleFunc("/answer/", func(_ http.ResponseWriter, r *http.Request) { log.Printf("%s %s", r.Method, r.URL.Path) })
	mux.HandleFunc("/health", func(rw http.ResponseWriter, _ *http.Request) {})
	go func() {
		log.Fatal(stunserver.New(context.Background()).ListenAndServe(net.JoinHostPort(*listen, "3478")))
	}()
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:9000", http.HandlerFunc(w.command))) }()
	// Both protocols take the connection over, so HTTP/2 is not for them.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{Addr: net.JoinHostPort(*listen, "443"), Handler: mux, Protocols: protocols}
	log.Fatal(server.ListenAndServeTLS(*cert, *tlsKey))
}
