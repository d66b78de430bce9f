// Package web serves the page: what queue, workers and batches do, and the pictures as they land, with server-sent
// events and no build step. It knows HTTP and nothing of the queue or the store: what it shows it takes from the small
// interfaces of system.go, which the commands fill.
//
//	browser ──GET /──────────────▶ assets, embedded
//	        ──GET /api/…─────────▶ Records, Letters   JSON, read for each request
//	        ──GET /api/events────▶ News               server-sent events, one goroutine a client
//	        ──GET /image/ /thumb/▶ Pictures           streamed, or made smaller here
//	        ──POST /api/…────────▶ Orders, Controls   nil where the page is read-only
//
// Nothing is served to another site: the Host header is checked, writes of other origins are refused, and the
// content security policy lets the page load and call nothing but itself.
package web

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/sync/semaphore"
)

// Config is what a page needs. News, Records, Letters and Pictures must be set.
type Config struct {
	News     News
	Records  Records
	Letters  Letters
	Pictures Pictures

	Orders   Orders   // with Controls nil the page is read-only
	Controls Controls // with Orders nil the page is read-only

	Metrics http.Handler // serves /metrics; nil serves none

	Version string   // of the program, for people
	Hosts   []string // names beside those of the loopback interface under which the page may be asked for
	Token   string   // what a client has to know; "" asks for nothing

	Watchers int   // clients that listen to events at once; 0 is 256
	Cache    int64 // bytes of thumbnails that are kept; 0 is 64 MiB

	Logger *slog.Logger // nil drops everything
}

// Defaults of a Config.
const (
	defaultWatchers = 256
	defaultCache    = 64 << 20
)

// Server serves the page. Its methods may be called from several goroutines.
type Server struct {
	cfg      Config
	log      *slog.Logger
	files    map[string]asset // by path
	hosts    map[string]bool
	cookie   string              // what a client that has shown the token keeps; "" without a token
	watchers *semaphore.Weighted // of the clients that listen
	thumbs   *thumbs
	rendered rendering
	handler  http.Handler
}

// New returns a server of the page.
func New(c Config) (*Server, error) {
	if c.News == nil || c.Records == nil || c.Letters == nil || c.Pictures == nil {
		return nil, errors.New("a page needs news, records, letters and pictures")
	}
	if (c.Orders == nil) != (c.Controls == nil) {
		return nil, errors.New("a page that writes needs both orders and controls")
	}
	if c.Watchers == 0 {
		c.Watchers = defaultWatchers
	}
	if c.Cache == 0 {
		c.Cache = defaultCache
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	files, err := readAssets()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: c, log: c.Logger, files: files, hosts: map[string]bool{}, cookie: cookieOf(c.Token),
		watchers: semaphore.NewWeighted(int64(c.Watchers)), thumbs: newThumbs(c.Pictures, c.Cache),
	}
	for _, h := range c.Hosts {
		s.hosts[strings.ToLower(h)] = true
	}
	s.handler = s.guard(s.routes())
	return s, nil
}

// Handler returns the page's handler, with every check of safety around it.
func (s *Server) Handler() http.Handler { return s.handler }

// routes are the page's paths.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /assets/{file...}", s.asset)
	mux.HandleFunc("GET /api/state", s.state)
	mux.HandleFunc("GET /api/events", s.events)
	mux.HandleFunc("GET /api/batches/{batch}", answer(s.batch))
	mux.HandleFunc("GET /api/batches/{batch}/images", answer(s.images))
	mux.HandleFunc("GET /api/images", answer(s.landed))
	mux.HandleFunc("GET /api/jobs/{batch}/{index}", answer(s.job))
	mux.HandleFunc("GET /api/dead", answer(s.dead))
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	mux.HandleFunc("GET /image/{key...}", s.image)
	mux.HandleFunc("GET /thumb/{key...}", s.thumb)
	mux.HandleFunc("POST /api/jobs", s.write(s.submitJobs))
	mux.HandleFunc("POST /api/grids", s.write(s.submitGrid))
	mux.HandleFunc("POST /api/batches/{batch}/cancel", s.write(s.cancelBatch))
	mux.HandleFunc("POST /api/jobs/{batch}/{index}/cancel", s.write(s.cancelJob))
	mux.HandleFunc("POST /api/jobs/{batch}/{index}/retry", s.write(s.retryJob))
	mux.HandleFunc("POST /api/batches/{batch}/retry", s.write(s.retryBatch))
	mux.HandleFunc("POST /api/dead/{id}/requeue", s.write(s.requeueOne))
	mux.HandleFunc("POST /api/dead/requeue", s.write(s.requeueSome))
	mux.HandleFunc("POST /api/models/{model}/pause", s.write(s.pauseModel))
	mux.HandleFunc("POST /api/models/{model}/resume", s.write(s.resumeModel))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, Errorf(http.StatusNotFound, "there is no %s %s here", r.Method, r.URL.Path))
	})
	return mux
}

// readOnly reports whether nothing may be changed through the page.
func (s *Server) readOnly() bool { return s.cfg.Orders == nil }
